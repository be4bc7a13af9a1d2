"""A batch that llama.cpp could not compute is tried again in parts, until the one row that it fails with is found. Pure.

all rows -> halves -> one row alone -> the same row in a few tokens -> given up
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

FEWEST = 16  # tokens of one row, which are not split any more

Work = Sequence[tuple[int, int]]  # (request, tokens) of one step


class _Part(NamedTuple):
    ids: frozenset[int]
    most: int | None = None


class Trials:
    """What is in doubt. While something is, each step computes one part of it and nothing else."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def narrow(self, work: Work) -> list[tuple[int, int]]:
        """Of a step's work what may be computed now: the first part in doubt, else all of it."""
        while self._parts:
            part = self._parts[0]
            found = [(id, min(count, part.most or count)) for id, count in work if id in part.ids]
            if found:
                return found
            self._parts.pop(0)  # they have left meanwhile, or wait
        return list(work)

    def passed(self) -> None:
        """What `narrow` gave was computed."""
        if self._parts:
            self._parts.pop(0)

    def failed(self, work: Work) -> int | None:
        """What `narrow` gave could not be computed. The request to give up, where it was one alone and in few tokens; else None."""
        if self._parts:
            self._parts.pop(0)
        if len(work) > 1:
            half = len(work) // 2
            self._parts[:0] = [_Part(frozenset(id for id, _ in part)) for part in (work[:half], work[half:])]
            return None
        id, count = work[0]
        if count <= FEWEST:
            return id
        self._parts.insert(0, _Part(frozenset({id}), FEWEST))
        return None
