"""Ending a pull from another thread, also while it waits for a silent network or for another program's lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from app.core.errors import Cancelled


class Stop:
    """A switch that is thrown once. Thread-safe.

    The pull asks it between its steps; what blocks inside a step (a child process) says how it is ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thrown = threading.Event()
        self._end: Callable[[], None] | None = None

    def throw(self) -> None:
        """End the pull; returns before it has ended."""
        with self._lock:
            self._thrown.set()
            if self._end is not None:
                self._end()

    @property
    def thrown(self) -> bool:
        """Whether the pull is to end."""
        return self._thrown.is_set()

    def check(self) -> None:
        """Raise Cancelled where the pull is to end."""
        if self.thrown:
            raise Cancelled("The download was cancelled.")

    @contextlib.contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `throw` calls `end` too (from its own thread), so that the block comes to its end."""
        with self._lock:
            self._end = end
            if self.thrown:
                end()
        try:
            yield
        finally:
            # Under the lock: once the block is over, `end` is not under way any more either.
            with self._lock:
                self._end = None
