"""Relevance of found passages, with the effects that `relevance` itself is free of: stems, tokens and dot products."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING

from ingest.search.reader import Found
from ingest.search.relevance import Term, coverage, legibility, main_script, nearness, relevance
from ingest.search.words import Words

if TYPE_CHECKING:
    from models.embedder import TokenCounter

_SEEN = 400
"""Characters of a passage that show whether the embedder can read it."""


class Judge:
    """Of one question. `total`: chunks of the book; `vector` is empty where the vector leg did not speak."""

    def __init__(
        self,
        text: str,
        terms: Sequence[Term],
        total: int,
        vector: bytes,
        background: array[float],
        trust: float,
        counter: TokenCounter | None,
    ) -> None:
        self._terms, self._total, self._counter = terms, total, counter
        self._vector = array("f", vector)
        self._background = _dot(self._vector, background)
        self._trust = trust if vector else 0.0
        self._script = main_script(text)

    def passages(self, found: Sequence[Found], words: Words) -> list[float]:
        """The relevance (0..1) of each."""
        stems = words.of_passages([one.indexed for one in found])
        return [self._one(one, its) for one, its in zip(found, stems, strict=True)]

    def _one(self, found: Found, stems: frozenset[str]) -> float:
        covered = coverage(self._terms, self._total, stems)
        near, trust = 0.0, 0.0
        if self._trust and len(found.vector) == len(self._vector) * self._vector.itemsize:
            near = nearness(_dot(self._vector, array("f", found.vector)), self._background)
            trust = self._trust * self._legible(found.passage.text)
        return relevance(covered, near, trust, same_script=self._script == main_script(found.passage.text))

    def _legible(self, text: str) -> float:
        return 1.0 if self._counter is None else legibility(text[:_SEEN], self._counter.offsets(text[:_SEEN]))


def _dot(one: array[float], other: array[float]) -> float:
    return float(sum(map(mul, one, other)))
