"""How much ingest adds to the embedder, and what a run costs that finds nothing new.

    ONDOL_EVAL_DATA=... python tests/bench/sync.py --models MODELS_FOLDER [--paragraphs 300] [--precision bf16] [--rows 200000]
    python tests/bench/sync.py --models MODELS_FOLDER --dump netflix.sql [--dump-rows 5000] [--precision bf16] [--default] [--rows 0]
    python tests/bench/sync.py [--rows 1000000] [--dimensions 8] [--rounds 1] [--follow]

Part 1: a first sync of en-squad paragraphs, or of a dump's rows in a PostgreSQL, against the bare embedder on the very same
texts, taken in turns in one process (the median of their ratios, each to what the embedder took before and after it); with `--default`
against the library's own call, too. Part 2:
syncs of rows of a real PostgreSQL: the first, after nothing, ten rows and 1 % changed (the best of the rounds), some keys, and every
row to be hashed; each in a process of its own, by a deterministic vector generator; with `--follow` through a logical slot. Prints
one JSON line a part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psycopg  # noqa: E402
from postgres_servers import embedded_server  # noqa: E402

from app.cli.bench.ingest_table import copy_rows, own_server  # noqa: E402
from app.core.paths import Home  # noqa: E402
from ingest.postgres.asked import Asked  # noqa: E402
from ingest.sync import ingest_files, ingest_postgres  # noqa: E402
from models.embedder import Vectors  # noqa: E402

TakeIn = Callable[[Home, Any, Any], int]
"""Ingests all of a source into a home, by an embedder and a counter of tokens; returns the chunks."""
Source = Callable[[Path], contextlib.AbstractContextManager[TakeIn]]

AGAIN = """
import sys, json, time
from pathlib import Path
from app.core.paths import Home
from ingest.sync import ingest_postgres, sync
from models.hash_embedder import HashEmbedder, WordCounter
home, dimensions, dsn, follow = Home(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "follow"
embedding, spent = [], []
class Timed(HashEmbedder):
    def passages(self, texts):
        began = time.perf_counter()
        try:
            return super().passages(texts)
        finally:
            spent.append(time.perf_counter() - began)
def embedder():
    embedding.append(True)
    return Timed(dimensions)
if home.book.exists():
    (report,) = sync(home, None, embedder, lambda: WordCounter())
else:
    from ingest.postgres.asked import Asked
    (report,) = ingest_postgres(home, dsn, Asked(tables=("items",), follow=follow), "shop", embedder, lambda: WordCounter())
assert report.ok, report
peak = next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
told = {name: getattr(report, name) for name in ("unchanged", "changed", "added", "deleted")}
told |= {"seconds_in_run": report.seconds, "embedding_s": round(sum(spent), 2), "peak_mb": peak}
told |= {"embedder": bool(embedding), "torch": "torch" in sys.modules}
print(json.dumps(told))
"""
"""A sync in a process of its own, by a deterministic vector generator."""


class Recorded:
    """An embedder that remembers the batches it was given."""

    def __init__(self, embedder: object) -> None:
        self._embedder, self.info, self.batches = embedder, embedder.info, []  # type: ignore[attr-defined]

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(list(texts))
        return self._embedder.passages(texts)  # type: ignore[attr-defined, no-any-return]

    def queries(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.queries(texts)  # type: ignore[attr-defined, no-any-return]


def first_sync(models: Path, rounds: int, precision: str, source: Source, *, default: bool) -> dict[str, object]:
    from models.library import Library
    from models.sentence import open_embedder
    from models.tokenizer import ModelTokenCounter

    model = Library(models).find("all-minilm-l6-v2")
    embedder, counter = open_embedder(model, precision=precision), ModelTokenCounter(model)
    embedder.passages(["warm"])
    usual = default_call(model.path) if default else None
    called: list[tuple[float, float]] = []
    synced: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    chunks = 0
    with tempfile.TemporaryDirectory() as scratch, source(Path(scratch)) as take_in:

        def home(name: str) -> Home:
            (Path(scratch) / name).mkdir()
            return Home(Path(scratch) / name)

        recorded = Recorded(embedder)
        chunks = take_in(home("recorded"), recorded, counter)
        texts = [text for batch in recorded.batches for text in batch]
        for number in range(rounds):
            with clock(bare):
                embedder.passages(texts)
            with clock(synced):
                take_in(home(f"home{number}"), embedder, counter)
            if usual is not None:
                with clock(called):
                    usual(texts)
        with clock(bare):
            embedder.passages(texts)
    before_and_after = [((one[0] + other[0]) / 2, (one[1] + other[1]) / 2) for one, other in pairwise(bare)]
    wall, cpu = (beside([turn[at] for turn in synced], [turn[at] for turn in before_and_after]) for at in (0, 1))
    told = {"part": "first sync", "precision": precision, "chunks": chunks, "seconds": wall, "cpu_seconds": cpu, "bar": 1.05}
    if called:
        told |= {"default_call": beside([turn[0] for turn in synced], [turn[0] for turn in called], "call"), "default_call_bar": 0.6}
    return told


def default_call(model: Path) -> Callable[[list[str]], object]:
    """The embedding call as its library's documentation shows it, in fp32 on all cores."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), local_files_only=True)
    loaded.encode(["warm"])
    return partial(loaded.encode, show_progress_bar=False)


def beside(synced: list[float], bare: list[float], name: str = "bare") -> dict[str, object]:
    """The median of the turns' ratios, which a machine that is faster in one turn than in another disturbs least, and all of them."""
    ratios = [round(ours / alone, 3) for ours, alone in zip(synced, bare, strict=True)]
    return {"synced": round(min(synced), 2), name: round(min(bare), 2), "ratio": round(median(ratios), 3), "turns": ratios}


@contextlib.contextmanager
def paragraphs_of(count: int, scratch: Path) -> Iterator[TakeIn]:
    """The first paragraphs of en-squad, in a file."""
    corpus = (Path(os.environ["ONDOL_EVAL_DATA"]) / "retrieval" / "en-squad" / "corpus.jsonl").read_text(encoding="utf-8")
    file = scratch / "corpus.jsonl"
    file.write_text("\n".join(corpus.split("\n")[:count]), encoding="utf-8")
    yield lambda home, embedder, counter: ingest_files(home, [file], "squad", embedder, counter).chunks


@contextlib.contextmanager
def rows_of(dump: Path, count: int, _scratch: Path) -> Iterator[TakeIn]:
    """The first rows of a dump's table, in a PostgreSQL."""
    with own_server() as dsn:
        copy_rows(str(dump), "", "", count, dsn)
        yield lambda home, embedder, counter: ingest_postgres(home, dsn, Asked(tables=("bench",)), "rows", embedder, counter)[0].chunks


@contextlib.contextmanager
def clock(times: list[tuple[float, float]]) -> Iterator[None]:
    """Seconds on the wall and of the CPU: on a machine with other work the second is the truer."""
    began = time.perf_counter(), time.process_time()
    yield
    times.append((time.perf_counter() - began[0], time.process_time() - began[1]))


def measured(*asked: str) -> dict[str, object]:
    """A sync in a process of its own: what it counted, and its seconds on the wall and of the CPU, start included."""
    began, used = time.perf_counter(), os.times()
    out = subprocess.run([sys.executable, "-c", AGAIN, *asked], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    cpu = sum(os.times()[2:4]) - sum(used[2:4])
    return {"process_s": round(time.perf_counter() - began, 2), "process_cpu_s": round(cpu, 2), **json.loads(out)}


def least(runs: Sequence[dict[str, object]]) -> dict[str, object]:
    """The run that others disturbed least."""
    return min(runs, key=lambda run: float(str(run["process_s"])))


def unchanged(rows: int, rounds: int, dimensions: int, *, follow: bool) -> Iterator[dict[str, object]]:
    """A first sync, then what later ones cost: nothing changed, ten rows and 1 % changed, other keys, every row to be hashed."""
    with embedded_server() as dsn, tempfile.TemporaryDirectory() as home, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id bigint PRIMARY KEY, name text, body text, price numeric, at timestamptz)")
        connection.execute(
            f"INSERT INTO items SELECT n, 'item ' || n, repeat('words of item ' || n || ' stand here. ', 6), n * 1.5, now() "
            f"FROM generate_series(1, {rows}) n"
        )
        again = partial(measured, home, str(dimensions), dsn, "follow" if follow else "")
        how = {"rows": rows, "dimensions": dimensions, "follow": follow}
        yield {"part": "first sync of rows", **how, **again()}
        yield {"part": "unchanged rows", **how, **least([again() for _ in range(rounds)]), "bar_s": 2}
        for part, share in ("10 changed", rows // 10), ("1 % changed", 100):
            runs = []
            for number in range(rounds):
                connection.execute(f"UPDATE items SET price = price + 1 WHERE id % {share} = {number}")
                runs.append(again())
            yield {"part": part, **how, **least(runs)}
        connection.execute("DELETE FROM items WHERE id % 1000 = 1")
        connection.execute("INSERT INTO items SELECT id + 1, name, body, price, at FROM items ORDER BY id DESC LIMIT 1")
        yield {"part": "other keys", **how, **again()}
        if not follow:  # a slot tells of no row that was only moved
            connection.execute("VACUUM FULL items")
            yield {"part": "every row hashed", **how, **again()}


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--models", type=Path, help="the models folder (part 1 is left out without it)")
    asked.add_argument("--paragraphs", type=int, default=300)
    asked.add_argument("--dump", type=Path)
    asked.add_argument("--dump-rows", type=int, default=5000)
    asked.add_argument("--rows", type=int, default=200_000)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--dimensions", type=int, default=384, help="of the vectors of part 2")
    asked.add_argument("--follow", action="store_true", help="part 2 through a logical slot")
    asked.add_argument("--default", action="store_true", help="beside the library's default call, too")
    asked.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    given = asked.parse_args()
    if given.models:
        source = partial(rows_of, given.dump, given.dump_rows) if given.dump else partial(paragraphs_of, given.paragraphs)
        print(json.dumps(first_sync(given.models, given.rounds, given.precision, source, default=given.default)), flush=True)
    if given.rows:
        for part in unchanged(given.rows, given.rounds, given.dimensions, follow=given.follow):
            print(json.dumps(part), flush=True)
