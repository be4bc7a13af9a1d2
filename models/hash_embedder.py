"""A vector generator without a model: deterministic, and fast enough to measure big counts with.

Texts that share words get near vectors, as with a real model, so that search can be tested on it; meaning it knows not.
For measurements of 100,000 chunks and more, where a real embedder would take hours. Not for answers.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from models.embedder import EmbedderInfo, Vectors

_WORD = re.compile(r"\w+|[^\w\s]")


class HashEmbedder:
    """The embedder contract over hashed words and letter pairs, 384 dimensions by default."""

    def __init__(self, dimensions: int = 384, *, max_tokens: int = 256, name: str = "hash") -> None:
        self.info = EmbedderInfo(name, f"{name}-1-{dimensions}", dimensions, max_tokens)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, of length 1."""
        rows = [self._vector(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.info.dimensions), dtype=np.float32)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """The same as for passages."""
        return self.passages(texts)

    def _vector(self, text: str) -> Vectors:
        words = _WORD.findall(unicodedata.normalize("NFC", text).lower())
        hashes = np.fromiter((hash for word in words for hash in _features(word)), dtype=np.int64)
        # One bit of the hash is the sign, so that features that fall on one place cancel instead of adding up.
        signs = np.where(hashes & 1, 1.0, -1.0)
        vector = np.bincount((hashes >> 1) % self.info.dimensions, weights=signs, minlength=self.info.dimensions)
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            vector[0] = length = 1.0
        return np.asarray(vector / length, dtype=np.float32)


@lru_cache(maxsize=1 << 16)
def _features(word: str) -> tuple[int, ...]:
    pairs = (word[at : at + 2] for at in range(len(word) - 1))
    return tuple(zlib.crc32(feature.encode()) for feature in (word, *pairs))


class WordCounter:
    """The token counter beside it: a word or a mark is a token."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """(start, end) characters of each word."""
        return [found.span() for found in _WORD.finditer(text)]
