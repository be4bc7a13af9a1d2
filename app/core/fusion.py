"""Several rankings become one: weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009).

Ranks are compared, never scores: a cosine and a BM25 score have no common scale.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
RANK_CONSTANT = 60.0


def fuse(legs: Iterable[tuple[float, Sequence[Key]]], *, constant: float = RANK_CONSTANT) -> list[tuple[Key, float]]:
    """Keys of all legs with their scores, best first. A leg is its weight and its keys, best first.

    A key scores the sum of `weight / (constant + rank)` over the legs that hold it, as a share of what a key that leads
    every leg would score: 0..1. Legs that are empty or weigh nothing have no say, so they lower nobody's score.
    Equal scores keep the order in which the keys were first met.
    """
    heard = [(weight, keys) for weight, keys in legs if weight > 0 and keys]
    best = sum(weight for weight, _ in heard) / (constant + 1)
    scores: dict[Key, float] = {}
    for weight, keys in heard:
        for rank, key in enumerate(dict.fromkeys(keys), 1):
            scores[key] = scores.get(key, 0.0) + weight / (constant + rank) / best
    return sorted(scores.items(), key=lambda scored: -scored[1])
