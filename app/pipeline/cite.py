"""Which passages a written sentence rests on. Pure: sentences, their vectors and the passages in; places out.

A passage supports a sentence when one of its sentences is near it in meaning or holds most of its rare terms, and every
number of the sentence stands in the passage (or in the question). What the model cites is checked in the same way: a
citation that its passage doesn't support is taken out, one that is missing is put in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.core.records import Passage
from app.core.terms import numbers, terms
from app.pipeline.quote import Candidate
from app.pipeline.similarity import Vector, cosine, coverage, rarity

NEAR = 0.62
SHARED = 0.60
BOTH = 0.95
# "1." and the like before an item are no numbers that a passage has to hold.
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+")
_MARK = re.compile(r"\s*\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\]")
_NO_CLAIM = re.compile(r"(?i)\b(I don't know|I do not know|I'm not sure|cannot answer|can't answer|no information)|모르|알 수 없|찾지 못")


@dataclass(frozen=True)
class Evidence:
    """The passages of a prompt, cut into sentences, with their vectors (empty where no embedder answers)."""

    passages: tuple[Passage, ...]
    sentences: tuple[Candidate, ...]
    vectors: tuple[Vector, ...]
    trust: float
    question: str

    @cached_property
    def weights(self) -> dict[str, float]:
        """What each term is worth among these sentences: the same for every sentence that is held against them."""
        return rarity([candidate.text for candidate in self.sentences])

    @cached_property
    def numbers(self) -> tuple[set[str], ...]:
        """The numbers of each passage."""
        return tuple(numbers(f"{passage.text} {passage.title}") for passage in self.passages)


def claimed(sentence: str) -> tuple[str, list[int]]:
    """A model's sentence as (text without its marks, places it cites, counted from 0)."""
    places = [int(number) - 1 for match in _MARK.finditer(sentence) for number in match.group(1).split(",")]
    return _MARK.sub("", sentence), places


def plain(sentence: str) -> str:
    """What a sentence says, without the mark of a list's item before it."""
    return _ITEM.sub("", sentence).strip()


def makes_claim(sentence: str) -> bool:
    """Whether a sentence says something that a passage has to support: not a greeting, a question, or "I don't know"."""
    return len(set(terms(sentence))) >= 3 and not sentence.rstrip().endswith(("?", "？", ":")) and not _NO_CLAIM.search(sentence)


def support(sentence: str, vector: Vector | None, evidence: Evidence) -> list[int]:
    """The places of the passages that support the sentence, the strongest first."""
    told = numbers(sentence) - numbers(evidence.question)
    best: dict[int, float] = {}
    for index, candidate in enumerate(evidence.sentences):
        near = cosine(vector, evidence.vectors[index]) if vector is not None and evidence.vectors else 0.0
        shared = coverage(sentence, candidate.embedded, evidence.weights)
        strength = near * evidence.trust + shared
        if (near * evidence.trust >= NEAR or shared >= SHARED or strength >= BOTH) and told <= evidence.numbers[candidate.passage]:
            best[candidate.passage] = max(best.get(candidate.passage, 0.0), strength)
    return sorted(best, key=lambda place: -best[place])


def attribute(claims: Sequence[int], supporting: Sequence[int]) -> list[int]:
    """The places to cite: what the model named and the passage bears out, else the strongest support."""
    kept = [place for place in dict.fromkeys(claims) if place in supporting]
    return kept or list(supporting[:1])
