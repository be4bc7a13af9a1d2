"""Which embedder a store is written with: the one in use, or the one that it was filled with as long as that is its way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:  # numpy comes with it: a run that embeds nothing doesn't wait for that import
    from models.embedder import Embedder, TokenCounter


@dataclass(frozen=True)
class Embedders:
    """The embedders of this machine. Each is made when it is needed.

    `fingerprints`: what the one in use may have, told without loading it; none where none is installed. `older`: the one that gives
    vectors of a fingerprint; None where no installed model does.
    """

    now: Callable[[], Embedder]
    fingerprints: Callable[[], Collection[str]]
    older: Callable[[str], Embedder | None]


Embedding: TypeAlias = "Embedder | Callable[[], Embedder] | Embedders"
Counting: TypeAlias = "TokenCounter | Callable[[], TokenCounter]"


class Tools:
    """The embedder and its token counter, made when first needed: each may be given as a function that makes it."""

    def __init__(self, embedder: Embedding, counter: Counting) -> None:
        self._embedder, self._counter = embedder, counter
        self._now: Embedder | None = cast("Embedder", embedder) if hasattr(embedder, "info") else None
        self._told: frozenset[str] | None = None
        self._older: dict[str, Embedder | None] = {}

    def fingerprints(self) -> frozenset[str] | None:
        """What the embedder in use may have; None where only making it would tell, or none is installed."""
        if self._now is not None:
            return frozenset([self._now.info.fingerprint])
        if self._told is None and isinstance(self._embedder, Embedders):
            self._told = frozenset(self._embedder.fingerprints())
        return self._told or None

    def embedder(self, of: str = "") -> Embedder:
        """The embedder in use; for a store that holds vectors of another fingerprint, the one that made those, where it is here still."""
        known = self.fingerprints() if of else None
        if known is not None and len(known) > 1 and of in known:
            # How exactly it calculates here is settled when it is made.
            known = frozenset([self._made().info.fingerprint])
        if known is not None and of not in known and (older := self.older(of)) is not None:
            return older
        return self._made()

    def _made(self) -> Embedder:
        if self._now is None:
            make = self._embedder.now if isinstance(self._embedder, Embedders) else cast("Callable[[], Embedder]", self._embedder)
            self._now = make()
        return self._now

    def older(self, fingerprint: str) -> Embedder | None:
        """The embedder, other than the one in use, that gives vectors of this fingerprint; None where it is not here."""
        if not isinstance(self._embedder, Embedders):
            return None
        if fingerprint not in self._older:
            self._older[fingerprint] = self._embedder.older(fingerprint)
        return self._older[fingerprint]

    def counter(self) -> TokenCounter:
        """The counter, made now if need be."""
        if not hasattr(self._counter, "offsets"):
            self._counter = self._counter()
        return self._counter
