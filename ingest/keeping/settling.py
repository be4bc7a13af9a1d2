"""Changes come in swarms: a run waits until a folder is quiet for a moment, but not for ever. Pure; times by a clock that never jumps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

QUIET_SECONDS = 2.0
LONGEST_SECONDS = 60.0


class Settling(Generic[K]):
    """First and last change of each thing that has changed since it was last taken."""

    def __init__(self, quiet: float, longest: float) -> None:
        self._quiet, self._longest = quiet, longest
        self._changes: dict[K, tuple[float, float]] = {}

    def note(self, key: K, at: float) -> None:
        """One more change."""
        first, _ = self._changes.get(key, (at, at))
        self._changes[key] = (first, at)

    def settled(self, now: float) -> set[K]:
        """What is quiet now, or has been in motion too long to wait for."""
        return {key for key in self._changes if self._at(key) <= now}

    def next(self) -> float | None:
        """When something settles, where nothing more happens."""
        return min((self._at(key) for key in self._changes), default=None)

    def take(self, key: K) -> None:
        """It is being looked at: changes from now on count anew."""
        self._changes.pop(key, None)

    def _at(self, key: K) -> float:
        first, last = self._changes[key]
        return min(last + self._quiet, first + self._longest)
