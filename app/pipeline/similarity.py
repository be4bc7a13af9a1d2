"""How near two sentences are: the embedder's cosine and shared terms together. Pure, without numpy: some dozens of sentences.

`trust` (0..1) says how well the embedder reads this language: a model that was trained on English is nearly blind in
Korean, where shared character bigrams then decide.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from operator import mul
from typing import TypeAlias

from app.core.terms import terms

Vector: TypeAlias = "array[float]"


def vectors(data: bytes, dimensions: int) -> list[Vector]:
    """A float32 matrix as rows."""
    flat = array("f")
    flat.frombytes(data)
    return [flat[start : start + dimensions] for start in range(0, len(flat), dimensions)]


def cosine(one: Vector, other: Vector) -> float:
    """Of two vectors of length 1."""
    return float(sum(map(mul, one, other)))


def rarity(texts: Sequence[str]) -> dict[str, float]:
    """Each term's weight among these texts: what stands everywhere says little."""
    counts = Counter(term for text in texts for term in set(terms(text)))
    return {term: math.log(1 + len(texts) / count) for term, count in counts.items()}


def coverage(question: str, text: str, weights: dict[str, float]) -> float:
    """The share (0..1) of the question's terms, by weight, that the text holds."""
    asked = set(terms(question))
    held = set(terms(text))
    heaviest = max(weights.values(), default=1.0)
    whole = sum(weights.get(term, heaviest) for term in asked)
    return sum(weights.get(term, heaviest) for term in asked & held) / whole if whole else 0.0
