"""How long to wait before a server that failed is started again, and when it is given up. Pure but for its count."""

from __future__ import annotations

from collections.abc import Callable

from tray.keeping.events import Limits


class Backoff:
    """Failures in a row. `chance` returns 0..1: servers that failed at the same moment don't come back at the same moment."""

    def __init__(self, limits: Limits, chance: Callable[[], float]) -> None:
        self._limits, self._chance = limits, chance
        self.failures = 0

    def next(self) -> float | None:
        """One more failure: seconds to wait, doubled each time up to a cap; None: it has failed too often."""
        self.failures += 1
        if self.failures > self._limits.crashes:
            return None
        seconds = min(self._limits.backoff_cap, self._limits.backoff * 2.0 ** (self.failures - 1))
        return seconds * (0.8 + 0.4 * self._chance())

    def forget(self) -> None:
        """It has worked well, or a person wants another try."""
        self.failures = 0
