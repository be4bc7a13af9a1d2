"""The contract of the vector leg: another index can take the place of ours behind it."""

from __future__ import annotations

from typing import Protocol

from app.core.errors import NotReady
from ingest.search.visible import Restriction

MOST_HITS = 200
"""Hits that one query of the approximate index can ask for: its graph is searched that wide."""


class IndexDamaged(Exception):
    """The index can't be used as it lies on the disk: it is rebuilt from the book."""


class GenerationChanged(NotReady):
    """The store was embedded anew meanwhile: embed the question again, as the store is embedded now."""

    code = "generation_changed"


class VectorSearch(Protocol):
    """Nearest chunks of a store's current generation."""

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first, at most `limit`; only chunks whose document `allowed` lets through.

        `vector` is float32, little endian, of length 1. What the book acknowledged before the call is seen, and what it
        deleted is not. `generation` is the identity of the one that the vector was made for: GenerationChanged where the store has
        another one now. Errors: StoreNotFound, BadRequest for a vector of other dimensions, WorkerDied.
        """
        ...
