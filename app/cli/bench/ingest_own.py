"""`python -m app.cli.bench.ingest_own`: Ondol's own ingest as a side of the bench; speaks the protocol of `ingest_sides`.

Its time holds what the others' does: rows read, texts embedded, everything durable, and the vectors in Chroma (which the product's
own index worker takes in later, as the book answers at once).
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.core.paths import Home


def main() -> None:
    """Answer one call a line until the input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.readline())
    embedder, counter = _embedder(asked)
    versions = {name: version(name) for name in ("ondol", "chromadb", "sentence-transformers", "torch")}
    print(json.dumps({"versions": versions}), file=out, flush=True)
    side: _Side | None = None
    for line in sys.stdin:
        call = json.loads(line)
        said: dict[str, Any] = {}
        if call["op"] == "open":
            side = _Side(Home(Path(call["folder"])), asked, embedder, counter)
        elif side is not None and call["op"] == "sync":
            began, used = time.perf_counter(), time.process_time()
            side.sync()
            said = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
        elif side is not None:
            said = {"held": side.held()}
        print(json.dumps(said), file=out, flush=True)


def _embedder(asked: dict[str, Any]) -> tuple[Any, Any]:
    if not asked["model"]:
        from models.hash_embedder import HashEmbedder, WordCounter

        return HashEmbedder(32), WordCounter()
    from models.installed import read_model
    from models.precision import Precisions
    from models.sentence import open_embedder
    from models.tokenizer import ModelTokenCounter

    model = read_model(Path(asked["model"]))
    embedder = open_embedder(model, precisions=Precisions(Path(asked["remember"])))
    embedder.passages(["ready"])
    return embedder, ModelTokenCounter(model)


class _Side:
    def __init__(self, home: Home, asked: dict[str, Any], embedder: Any, counter: Any) -> None:
        from ingest.index.service import IndexService

        self._home, self._asked, self._tools = home, asked, (embedder, counter)
        self._index = IndexService(home)
        self._known = False

    def sync(self) -> None:
        from ingest.postgres.asked import Asked
        from ingest.sync import ingest_postgres, sync

        if self._known:
            sync(self._home, None, *self._tools)
        else:
            ingest_postgres(self._home, self._asked["dsn"], Asked(tables=(self._asked["table"],)), "bench", *self._tools)
        self._known = True
        self._index.refresh()
        while self._index.tick() or any(store["pending"] or store["rebuilding"] for store in self._index.state()):
            time.sleep(0.001)

    def held(self) -> list[tuple[str, str]]:
        from ingest.index.book_view import connect

        book = connect(self._home.book)
        rows = book.execute("SELECT d.id, c.text FROM chunks c JOIN documents d ON d.pk = c.document_pk").fetchall()
        book.close()
        return [(str(id).rpartition("/")[2], str(text)) for id, text in rows]


if __name__ == "__main__":
    main()
