"""Whether a sentence is cited to the passage that bears it out, and to none where that passage is missing.

    python tests/bench/cite.py --models FOLDER [--questions 120]      (ONDOL_EVAL_DATA names the data)

A statement is made of each English question and its answer. It is held against the right paragraph among four others of the same
article, and then against those four alone. Prints JSON: the share cited to the right one, to a wrong one, to none, and the share
that was cited at all though the right one was missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.records import Passage
from app.pipeline import cite, quote
from app.pipeline.similarity import Vector, vectors
from models.embedder import Embedder
from models.library import Library
from models.sentence import open_embedder

Row = dict[str, Any]


def embedded(embedder: Embedder, texts: Sequence[str]) -> list[Vector]:
    made = embedder.passages(texts)
    return vectors(made.tobytes(), made.shape[1])


def supporting(embedder: Embedder, statement: str, question: str, rows: Sequence[Row]) -> list[str]:
    """The ids of the paragraphs that support the statement, the strongest first."""
    passages = [Passage(row["id"], row["id"], row["text"], row["title"]) for row in rows]
    found = quote.candidates(passages)
    held = embedded(embedder, [candidate.embedded for candidate in found])
    evidence = cite.Evidence(tuple(passages), tuple(found), tuple(held), 1.0, question)
    return [rows[place]["id"] for place in cite.support(statement, embedded(embedder, [statement])[0], evidence)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=120)
    options = parser.parse_args()
    data, dice = Path(os.environ["ONDOL_EVAL_DATA"]) / "retrieval" / "en-squad", random.Random(3)
    corpus, asked = (
        [json.loads(line) for line in (data / name).read_text(encoding="utf-8").splitlines()] for name in ("corpus.jsonl", "queries.jsonl")
    )
    by_id = {row["id"]: row for row in corpus}
    embedder = open_embedder(Library(options.models).find("default", "embedding"))
    cited = {"right": 0, "wrong": 0, "none": 0, "though missing": 0}
    for row in dice.sample(asked, options.questions):
        right = by_id[row["relevant"][0]]
        others = dice.sample([one for one in corpus if one["title"] == right["title"] and one is not right], 4)
        statement = f"{row['text'].rstrip('?')}: {row['answers'][0]}."
        found = supporting(embedder, statement, row["text"], dice.sample([*others, right], 5))
        cited["none" if not found else "right" if found[0] == right["id"] else "wrong"] += 1
        cited["though missing"] += bool(supporting(embedder, statement, row["text"], others))
    print(json.dumps({"statements": options.questions, **{name: round(count / options.questions, 3) for name, count in cited.items()}}))


if __name__ == "__main__":
    main()
