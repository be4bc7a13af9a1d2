"""A real book for tests of the index and the search: one chunk a document, vectors from the hash embedder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from app.core.paths import Home
from ingest.book.engine import open_writable
from ingest.book.writer import Batch, Ready, Writer, open_writer, prune_outbox
from ingest.chunking import Chunk
from ingest.documents import Block, Document
from ingest.index import book_view
from ingest.index.book_view import Generation
from models.hash_embedder import HashEmbedder

EMBEDDER = HashEmbedder(64)
_WORDS = ["서울", "지사", "휴가", "규정", "scale", "price", "order", "return", "warranty", "travel"]
_WORDS += ["budget", "meeting", "room", "회의", "예산", "출장", "보증", "반품", "저울", "가격"]


class Shelf:
    """Writes a store's documents as an ingest would: one transaction a call."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.source = writer.source("files", "shelf", {}).id

    def put(
        self, texts: Mapping[str, str], *, access: Sequence[str] = (), attributes: Mapping[str, object] | None = None, title: str = ""
    ) -> None:
        ready = [
            Ready(
                Document(id, title, (Block(text),), attributes=dict(attributes or {})),
                f"h{text}",
                ((Chunk(text, "", None, None), f"t{text}"),),
            )
            for id, text in texts.items()
        ]
        hashes = {f"t{text}": text for text in texts.values()}
        missing = sorted(self._writer.without_vector(hashes))
        rows = EMBEDDER.passages([hashes[hash] for hash in missing])
        vectors = {hash: row.astype("<f4").tobytes() for hash, row in zip(missing, rows, strict=True)}
        self._writer.commit(Batch(self.source, ready, vectors, tuple(access)))

    def delete(self, ids: Sequence[str]) -> None:
        self._writer.delete(ids)


@contextlib.contextmanager
def shelf(home: Home, store: str = "things") -> Iterator[Shelf]:
    with open_writer(home, store) as writer:
        writer.use_generation(EMBEDDER.info.model, EMBEDDER.info.fingerprint, EMBEDDER.info.dimensions)
        yield Shelf(writer)


def prune(home: Home, generation_id: int, up_to: int) -> None:
    engine = open_writable(home.book, home.locks)
    prune_outbox(engine, generation_id, up_to)
    engine.dispose()


def question(text: str) -> bytes:
    return EMBEDDER.queries([text])[0].astype("<f4").tobytes()


def generation(home: Home, store: str = "things") -> Generation:
    book = book_view.connect(home.book)
    try:
        found = book_view.generation(book, store)
    finally:
        book.close()
    assert found is not None
    return found


def truth(home: Home, text: str, limit: int, store: str = "things") -> list[tuple[int, float]]:
    """The nearest chunks, straight from the book's rows."""
    book = book_view.connect(home.book)
    of = book_view.generation(book, store)
    assert of is not None
    rows = book_view.vectors(book, of, book_view.chunk_pks(book, of))
    book.close()
    asked = np.frombuffer(question(text), dtype="<f4")
    scores = [(pk, float(np.frombuffer(vector, dtype="<f4") @ asked)) for pk, vector in rows]
    return sorted(scores, key=lambda hit: (-hit[1], hit[0]))[:limit]


def same(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> bool:
    """Equal up to rounding: equal scores may stand in either order, so the scores are compared place by place."""
    return len(one) == len(other) and bool(np.allclose([score for _, score in one], [score for _, score in other], atol=1e-5))


def some_texts(count: int, start: int = 0) -> dict[str, str]:
    """Distinct texts that share words."""
    return {f"d{n}": f"{_WORDS[n % 20]} {_WORDS[n // 20 % 20]} {_WORDS[n // 400 % 20]} number {n}" for n in range(start, start + count)}


def home_in(folder: Path) -> Home:
    home = Home(folder / "집")
    home.root.mkdir(parents=True, exist_ok=True)
    return home
