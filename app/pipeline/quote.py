"""The `quote` style: the sentences of the passages that are nearest to the question, word for word. Pure.

Measured in `tests/bench/quote.py`. Nothing can be invented, and no chat model is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.records import Passage
from app.core.terms import terms
from app.pipeline.sentences import split
from app.pipeline.similarity import Vector, cosine, coverage, rarity

MOST_SENTENCES = 160
LONGEST = 600
RANK_WORTH = 0.30
# A row's "name: value" of which the question names neither stands near it by the row's title alone.
UNASKED = 0.20
# A heading, or a sentence that only repeats the question's words, answers nothing: shown where there is nothing else.
EMPTY = -1.0
_FACT = re.compile(r"[\w ]{1,40}: \S")


@dataclass(frozen=True)
class Candidate:
    """One sentence of one passage; `embedded` is what the embedder sees: the sentence under its title."""

    passage: int
    position: int
    text: str
    embedded: str


@dataclass(frozen=True)
class Quote:
    """A sentence to show, and the place of its passage in the list."""

    text: str
    passage: int


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of the passages, best passage first; very long ones are cut at a word."""
    found: list[Candidate] = []
    for place, passage in enumerate(passages):
        head = " > ".join(part for part in (passage.title, passage.heading) if part)
        for position, sentence in enumerate(split(passage.text)):
            shown = sentence if len(sentence) <= LONGEST else sentence[:LONGEST].rsplit(" ", 1)[0] + " …"
            found.append(Candidate(place, position, shown, f"{head}: {shown}" if head else shown))
    return found[:MOST_SENTENCES]


def choose(
    question: str,
    asked: Vector | None,
    found: Sequence[Candidate],
    embedded: Sequence[Vector],
    *,
    trust: float,
    limit: int = 3,
) -> list[Quote]:
    """The best `limit` sentences, best first. Without vectors (`asked` None) the shared terms alone decide."""
    # Words are counted without the title: a sentence must not win by its document's name alone.
    weights = rarity([candidate.text for candidate in found])
    asked_terms = frozenset(terms(question))

    def score(index: int) -> float:
        candidate = found[index]
        near = cosine(asked, embedded[index]) * trust if asked is not None and embedded else 0.0
        shared = coverage(question, candidate.text, weights)
        beside = UNASKED if shared == 0.0 and _FACT.match(candidate.text) else 0.0
        if asked_terms.issuperset(terms(candidate.text)):
            return EMPTY
        return near + shared * (1.0 - 0.5 * trust) + RANK_WORTH / (1 + candidate.passage) - beside

    scores = [score(index) for index in range(len(found))]
    order = sorted(range(len(found)), key=scores.__getitem__, reverse=True)
    chosen: list[Quote] = []
    for index in order:
        if chosen and scores[index] == EMPTY:
            break
        if all(quote.text != found[index].text for quote in chosen):
            chosen.append(Quote(found[index].text, found[index].passage))
        if len(chosen) == limit:
            break
    return chosen
