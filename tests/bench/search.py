"""How long a search of a large store takes, its question's embedding apart.

    ONDOL_EVAL_DATA=DATA python tests/bench/search.py --home FOLDER [--chunks 100000] [--fill-seconds 200] [--questions 300]

Fills a store with chunks of three sentences each, drawn from en-squad's and ko-kobest's paragraphs, with random vectors that are clustered
a little, as real ones are. Then the index worker takes them in; where that takes longer than `--fill-seconds` the same command goes on
from there. Then the sets' own questions are asked one after the other, with random vectors of those clusters, without a filter and with
one that a twentieth of the store meets. Prints JSON: milliseconds at p50, p95, p99 and the longest, and of each filter's first search.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from drain import BATCH, DIMENSIONS, spread

from app.core.paths import Home
from app.core.records import Context, SearchQuery
from ingest.book.writer import Batch, Ready, open_writer
from ingest.chunking import Chunk
from ingest.documents import Block, Document
from ingest.index.client import IndexClient
from ingest.search.hybrid import Searcher

SETS = ("en-squad", "ko-kobest")
SHARES = 20


class Drawn:
    """Vectors around the same centres for passages and questions."""

    def __init__(self, seed: int) -> None:
        self._centres = np.random.default_rng(1).normal(size=(200, DIMENSIONS))
        self._dice = np.random.default_rng(seed)

    def vectors(self, count: int) -> Any:
        rows = self._centres[self._dice.integers(0, 200, count)] + self._dice.normal(size=(count, DIMENSIONS))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")

    async def vectors_bytes(self, texts: Sequence[str], kind: str, *, fingerprint: str = "") -> tuple[bytes, int]:
        return self.vectors(len(texts)).tobytes(), DIMENSIONS


def rows(data: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for one in SETS for line in (data / one / name).read_text(encoding="utf-8").splitlines()]


def fill(home: Home, count: int, data: Path) -> None:
    """From where an earlier call ended."""
    sentences = [one for row in rows(data, "corpus.jsonl") for one in re.split(r"(?<=[.!?])\s+", row["text"]) if len(one) > 20]
    with open_writer(home, "bench") as writer:
        writer.use_generation("random", "random-1", DIMENSIONS)
        source = writer.source("files", "bench", {}).id
        for start in range(writer.documents_of(source), count, BATCH):
            dice = random.Random(start)
            names = [f"d{n}" for n in range(start, start + BATCH)]
            ready = []
            for name in names:
                text = " ".join(dice.choices(sentences, k=3))
                document = Document(name, "", (Block(text),), attributes={"share": dice.randrange(SHARES)})
                ready.append(Ready(document, name, ((Chunk(text, "", None, None), name),)))
            made = Drawn(start + 2).vectors(BATCH)
            writer.commit(Batch(source, ready, {name: row.tobytes() for name, row in zip(names, made, strict=True)}))


async def measure(home: Home, data: Path, questions: int, seconds: float) -> dict[str, Any]:
    index, began = IndexClient(home), time.perf_counter()
    await index.start()
    searcher = Searcher(home.book, Drawn(0), index)
    try:
        while True:
            (state, *_) = await index.state() or [{"pending": 1, "rebuilding": True, "entries": 0}]
            if not state["rebuilding"] and not state["pending"]:
                break
            if time.perf_counter() - began > seconds:
                return {"the index holds by now": state["entries"], "left": state["pending"], "next": "the same command goes on"}
            await asyncio.sleep(1)
        asked = random.Random(0).sample([row["text"] for row in rows(data, "queries.jsonl")], questions)
        return {"chunks": state["entries"]} | {
            name: await times(searcher, asked, filters) for name, filters in (("no filter", {}), ("one in twenty", {"share": 3}))
        }
    finally:
        searcher.close()
        await index.stop()


async def times(searcher: Searcher, asked: Sequence[str], filters: dict[str, Any]) -> dict[str, float]:
    took = []
    for text in asked:
        began = time.perf_counter()
        found = await searcher.search("bench", SearchQuery(text, 10, filters), Context())
        took.append(1e3 * (time.perf_counter() - began))
        assert not found.failed, found.failed
    return {"first": round(took[0], 1), **spread(took[1:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--fill-seconds", type=float, default=200)
    parser.add_argument("--questions", type=int, default=300)
    options = parser.parse_args()
    if not (data := os.environ.get("ONDOL_EVAL_DATA")):
        raise SystemExit("Set ONDOL_EVAL_DATA to the folder of evaluation data.")
    home, began = Home(options.home), time.perf_counter()
    home.root.mkdir(parents=True, exist_ok=True)
    fill(home, options.chunks, Path(data) / "retrieval")
    left = options.fill_seconds - (time.perf_counter() - began)
    print(json.dumps(asyncio.run(measure(home, Path(data) / "retrieval", options.questions, left)), indent=1))


if __name__ == "__main__":
    main()
