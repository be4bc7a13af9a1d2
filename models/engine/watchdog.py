"""An engine that hangs is ended: its requests get an error, and the next one starts it again.

A worker gives a sign with every step: text, or a beat where a step had none. How long a step may take is the machine's
matter, so the limit follows the longest silence that this process has lived through. Before its first sign nothing is known of it.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from app.core.workers.parent import State, Worker

IDLE_LOOKS = 3  # a request that has just come may be between two states


class Patience(NamedTuple):
    """Seconds of silence: before the first sign of a process, later at least, and as many times the longest one so far."""

    first: float = 600.0
    least: float = 120.0
    times: float = 30.0
    look_every: float = 1.0

    def limit(self, longest: float | None) -> float:
        """The silence that is borne after `longest`; None: nothing was heard yet."""
        return self.first if longest is None else max(self.least, self.times * longest)


USUAL = Patience()


class Watchdog:
    """Listens to one worker while requests are under way."""

    def __init__(self, worker: Worker, patience: Patience) -> None:
        self._worker, self._patience = worker, patience
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """To be called with each request; it stops by itself when the last one has ended."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name=f"watch {self._worker.name}")

    def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        loop, patience, worker = asyncio.get_running_loop(), self._patience, self._worker
        pid, heard, silent, longest = worker.pid, worker.heard, 0.0, None
        looked, idle = loop.time(), 0
        while True:
            await asyncio.sleep(patience.look_every)
            now = loop.time()
            # A computer that slept, or a server that was held up itself, heard nothing because it didn't listen.
            passed, looked = min(now - looked, 2 * patience.look_every), now
            if worker.pid != pid:
                pid, heard, silent, longest = worker.pid, worker.heard, 0.0, None
            elif worker.heard != heard:
                heard, silent, longest = worker.heard, 0.0, max(longest or 0.0, silent + passed)
            elif worker.busy and pid is not None:
                idle = 0
                silent += passed
                if silent > patience.limit(longest):
                    worker.give_up(f"It has hung: no step ended within {silent:.0f} s")
            elif not worker.busy and worker.state in (State.READY, State.STOPPED, State.FAILED):
                idle += 1
                if idle > IDLE_LOOKS:
                    return
