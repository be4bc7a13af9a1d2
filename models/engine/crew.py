"""How many threads compute, by how much of the processor is left to them. Pure but for what it remembers.

The threads of a batch wait for each other hundreds of times in each step, and they wait busily. Where another program takes
one's core for some milliseconds, all stand still: on two busy cores two threads were seen to give an eighth of the tokens of
one. So a thread that doesn't get a core is one too many. After a while it is tried again, ever more rarely as
long as that fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WINDOW = 0.2  # seconds of computing that are judged together: on some systems processor time is counted in steps of 16 ms
CROWDED = 0.3  # of a core that the threads should have had and did not get
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before all threads are tried again


class Crew:
    """`threads` is how many to use now: at most `most`, at least one."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = self._most = max(1, most)
        self._clock = clock
        self._wall = self._processor = 0.0
        self._pause, self._again = FIRST_PAUSE, 0.0

    def worked(self, wall: float, processor: float) -> None:
        """A batch took so many seconds, and so many of processor time of all threads together."""
        self._wall += wall
        self._processor += processor
        if self._wall < WINDOW:
            return
        missing = self.threads - self._processor / self._wall
        self._wall = self._processor = 0.0
        if missing > CROWDED:
            self._fewer(missing)
        elif self.threads == self._most:
            self._pause = FIRST_PAUSE
        elif self._clock() >= self._again:
            self.threads = self._most

    def _fewer(self, missing: float) -> None:
        if self.threads == self._most:
            self._again = self._clock() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self.threads = max(1, self.threads - math.ceil(missing - CROWDED))
