"""How often a quote holds the answer: real questions over a whole corpus, through search and the `quote` style as served.

    python tests/bench/quote.py --models FOLDER --home FOLDER [--questions 200]      (ONDOL_EVAL_DATA names the data)

Prints JSON: the share of answerable English questions one of whose (at most three) quotes holds an answer of the data set word for
word, the same for the first quote alone, and the share that was refused. The same `--home` as `retrieval.py` embeds nothing again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.backends.contract import Backend
from app.core.paths import Home
from app.core.records import AnswerRecord, Context, Generation, Message
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.gather import Wired
from app.pipeline.similarity import Vector, vectors
from app.pipeline.steps import Text
from app.sources.store import StoreSource
from ingest.index.exact import ExactVectors
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions
from ingest.search.relevance import DEFAULT_THRESHOLD
from ingest.sync import ingest_files
from models.embedder import Embedder, Vectors
from models.library import Library
from models.sentence import open_embedder
from models.tokenizer import ModelTokenCounter


class Sentences:
    """Sentence vectors in this process."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        return self._rows(self._embedder.passages(texts))

    async def queries(self, texts: Sequence[str]) -> list[Vector]:
        return self._rows(self._embedder.queries(texts))

    def _rows(self, made: Vectors) -> list[Vector]:
        return vectors(made.tobytes(), made.shape[1])


class Forgetful:
    """A ledger that keeps nothing."""

    def record(self, answer: AnswerRecord) -> None:
        """Nothing is kept."""


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=200)
    args = parser.parse_args()
    data = Path(os.environ["ONDOL_EVAL_DATA"]) / "retrieval" / "en-squad"

    model = Library(args.models).find("default", "embedding")
    embedder, counter, home = open_embedder(model), ModelTokenCounter(model), Home(args.home)
    ingest_files(home, [data / "corpus.jsonl"], "quote-en", embedder, counter)
    searcher = Searcher(home.book, LocalQuestions(embedder), ExactVectors(home), counter)
    backend: Backend | None = None  # quoting asks no model
    source = Wired(StoreSource(searcher, "quote-en"), deadline=60)
    assistant = Assistant("squad", "squad", backend, sources={"en": source}, style="quote", threshold=DEFAULT_THRESHOLD)  # type: ignore[arg-type]
    answerer = Answerer(Sentences(embedder), Forgetful())

    rows = [json.loads(line) for line in (data / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = rows[:: max(1, len(rows) // args.questions)][: args.questions]
    held = first = refused = 0
    for row in asked:
        steps = [step async for step in answerer.answer(assistant, Generation(messages=(Message("user", row["text"]),)), Context())]
        quotes = [plain(step.text) for step in steps if isinstance(step, Text)]
        refused += not any("“" in quote for quote in quotes)
        held += any(plain(answer) in quote for answer in row["answers"] for quote in quotes)
        first += any(plain(answer) in quotes[0] for answer in row["answers"])
    count = len(asked)
    print(json.dumps({"questions": count, "held": held / count, "first_quote_held": first / count, "refused": refused / count}))


if __name__ == "__main__":
    asyncio.run(main())
