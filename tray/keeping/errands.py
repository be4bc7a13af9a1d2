"""What may take seconds and must not hold up a loop: one thread, one errand after the other, in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Errands:
    """`put` returns at once, from any thread. An errand that fails is told in the log and stops no other."""

    def __init__(self, name: str) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, errand: Callable[[], None]) -> None:
        """Do this soon."""
        self._waiting.put(errand)

    def close(self, seconds: float) -> None:
        """Do what waits, for `seconds` at most; nothing that comes later. May be called twice."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        while (errand := self._waiting.get()) is not None:
            try:
                errand()
            except Exception:
                log.exception("an errand of the keeper failed")
