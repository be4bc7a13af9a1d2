"""Retrieval and refusal on real questions, over the product's own path: ingest of corpus.jsonl, the book, the hybrid search.

    ONDOL_EVAL_DATA=DATA python tests/bench/retrieval.py --models FOLDER --home FOLDER [--precision bf16] [--json FILE]

`--models` is a models folder with an embedder in it (`ondol models pull`). A second run over the same `--home` embeds
nothing again. Prints R@1, R@5, MRR@10 and nDCG@10 of the full-text leg, the vector leg and both, and the share of questions
refused at the default threshold: answerable ones, those of the other language's set, and those whose passages were held out
of the corpus (every other title in English; in Korean the passages of every other question). Each share is given for two
halves of the questions too, so that a figure chosen on one half can be checked on the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.paths import Home
from app.core.records import Context, SearchQuery
from ingest.index.exact import ExactVectors
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions
from ingest.search.relevance import DEFAULT_THRESHOLD
from ingest.sync import ingest_files
from models.embedder import Embedder, EmbedderInfo, Vectors
from models.library import Library
from models.sentence import open_embedder
from models.tokenizer import ModelTokenCounter

Row = dict[str, Any]
SETS = {"en": "en-squad", "ko": "ko-kobest"}


class Remembering:
    """The embedder, asked once for each text: the held-out corpora are parts of the whole ones."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder, self._known = embedder, dict[str, Any]()

    @property
    def info(self) -> EmbedderInfo:
        return self._embedder.info

    def passages(self, texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embedder.passages(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    def queries(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.queries(texts)


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def ranking(ranked: Sequence[Sequence[str]], questions: Sequence[Row]) -> dict[str, float]:
    """R@1, R@5, MRR@10 and nDCG@10 of documents in the order found."""
    first, five, mrr, gain = 0.0, 0.0, 0.0, 0.0
    for found, question in zip(ranked, questions, strict=True):
        place = next((place for place, id in enumerate(dict.fromkeys(found)) if id in question["relevant"]), 10)
        if place < 10:
            first, five, mrr, gain = first + (place == 0), five + (place < 5), mrr + 1 / (place + 1), gain + 1 / math.log2(place + 2)
    count = len(questions)
    return {name: round(total / count, 3) for name, total in (("R@1", first), ("R@5", five), ("MRR@10", mrr), ("nDCG@10", gain))}


def record(document_id: str) -> str:
    return document_id.rsplit("#", 1)[-1]


class Bench:
    """The stores of one home, searched in this process."""

    def __init__(self, home: Home, embedder: Remembering, counter: ModelTokenCounter) -> None:
        self.home, self._embedder, self._counter = home, embedder, counter
        self._vectors = ExactVectors(home)
        self.hybrid = Searcher(home.book, LocalQuestions(embedder), self._vectors, counter)
        self.full_text = Searcher(home.book, None, self._vectors, counter)

    def fill(self, store: str, corpus: Sequence[Row]) -> None:
        path = self.home.root / f"{store}.jsonl"
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in corpus)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        report = ingest_files(self.home, [path], store, self._embedder, self._counter)
        print(f"{store}: {report.chunks} chunks, {report.embedded} embedded, {report.seconds:.0f} s", file=sys.stderr, flush=True)

    async def ids(self, searcher: Searcher, store: str, question: Row) -> list[str]:
        found = await searcher.search(store, SearchQuery(question["text"], 10), Context())
        return [record(passage.document_id) for passage in found.passages]

    async def nearest(self, store: str, question: Row) -> list[str]:
        """The vector leg alone, its chunks as documents."""
        vector, _ = await LocalQuestions(self._embedder).vectors_bytes([question["text"]], "query")
        hits = await self._vectors.query(store, vector, 20)
        with self.hybrid._readers.reader() as reader:
            by_pk = reader.found(store, None, [pk for pk, _ in hits])
        return [record(by_pk[pk].passage.document_id) for pk, _ in hits]

    async def relevances(self, store: str, questions: Sequence[Row]) -> list[float]:
        return [(await self.hybrid.search(store, SearchQuery(question["text"], 10), Context())).relevance for question in questions]


def refused(values: Sequence[float]) -> dict[str, float]:
    """The share below the threshold: of all, and of each half."""
    below = [value < DEFAULT_THRESHOLD for value in values]
    halves = (below, below[::2], below[1::2])
    return dict(zip(("all", "half 1", "half 2"), (round(sum(part) / max(1, len(part)), 3) for part in halves), strict=True))


async def measure(full: Bench, held: Bench, data: Path) -> dict[str, Any]:
    corpus = {store: rows(data / name / "corpus.jsonl") for store, name in SETS.items()}
    questions = {store: rows(data / name / "queries.jsonl") for store, name in SETS.items()}
    titles = sorted({row["title"] for row in corpus["en"]})
    kept_titles = set(titles[1::2])
    away = {id for question in questions["ko"][::2] for id in question["relevant"]}
    kept = {"en": {row["id"] for row in corpus["en"] if row["title"] in kept_titles}, "ko": {row["id"] for row in corpus["ko"]} - away}
    result: dict[str, Any] = {"threshold": DEFAULT_THRESHOLD, "ranking": {}, "refused": {}}
    for store in SETS:
        full.fill(store, corpus[store])
        held.fill(store, [row for row in corpus[store] if row["id"] in kept[store]])
    for store in SETS:
        legs = {
            "full text": [await full.ids(full.full_text, store, question) for question in questions[store]],
            "vectors": [await full.nearest(store, question) for question in questions[store]],
            "hybrid": [await full.ids(full.hybrid, store, question) for question in questions[store]],
        }
        result["ranking"][store] = {leg: ranking(found, questions[store]) for leg, found in legs.items()}
    for store, other in (("en", "ko"), ("ko", "en")):
        answerable = [question for question in questions[store] if set(question["relevant"]) <= kept[store]]
        gone = [question for question in questions[store] if not set(question["relevant"]) & kept[store]]
        result["refused"] |= {
            f"{store}: answerable": refused(await full.relevances(store, questions[store])),
            f"{store}: questions of {other}": refused(await full.relevances(store, questions[other])),
            f"{store}: answerable, part of the corpus": refused(await held.relevances(store, answerable)),
            f"{store}: held out": refused(await held.relevances(store, gone)),
        }
    near = rows(data / SETS["en"] / "unanswerable.jsonl")
    result["refused"]["en: near but unanswered"] = refused(await full.relevances("en", near))
    return result


def table(result: dict[str, Any]) -> str:
    lines = [f"{'store':6}{'leg':12}{'R@1':>8}{'R@5':>8}{'MRR@10':>8}{'nDCG@10':>9}"]
    for store, legs in result["ranking"].items():
        lines += [f"{store:6}{leg:12}" + "".join(f"{value:>8.3f}" for value in values.values()) for leg, values in legs.items()]
    lines.append(f"\nrefused at {result['threshold']}: all, and each half")
    lines += [f"{name:44}" + "".join(f"{value:>8.3f}" for value in values.values()) for name, values in result["refused"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Retrieval and refusal on real questions.")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    logging.getLogger("ingest").setLevel(logging.ERROR)
    data = os.environ.get("ONDOL_EVAL_DATA")
    if not data:
        raise SystemExit("Set ONDOL_EVAL_DATA to the folder of evaluation data.")
    model = Library(options.models).default_embedder()
    if model is None:
        raise SystemExit(f"There is no embedder in {options.models}: `ondol models pull` gets one.")
    embedder, counter = Remembering(open_embedder(model, precision=options.precision)), ModelTokenCounter(model)
    homes = [Home(options.home / name) for name in ("full", "held")]
    for home in homes:
        home.root.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(measure(Bench(homes[0], embedder, counter), Bench(homes[1], embedder, counter), Path(data) / "retrieval"))
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
