"""Measuring when nobody asks: a loaded model that has been idle for a while is measured once, and gives way at once.

A request that comes ends the batch that is measured, within milliseconds; the measurement goes on when all is quiet again. One
that does not get through, since the machine is too busy or the model too slow, is made anew after a long while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from app.core.errors import OndolError
from models.engine.interrupt import Abandoned, Switch
from models.engine.tuning.layout import Tuned
from models.engine.tuning.measure import Steps

log = logging.getLogger(__name__)
IDLE_SECONDS = 20.0
_MINE = 0  # requests count from 1


class IdleTuning:
    """A measurement in pauses of other work. `disturb` is for any thread; the rest is for the one that computes.

    `begin` starts it. `keep` takes what was found, None where it failed, and says after how long it is to be made again; None:
    never. `wait`: not before that. `may_end` False: a batch goes through to its end (a GPU, a recurrent model). Times in seconds.
    """

    def __init__(
        self,
        begin: Callable[[], Steps],
        switch: Switch,
        keep: Callable[[Tuned | None], float | None],
        *,
        wait: float = 0.0,
        may_end: bool = True,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin, self._keep, self._may_end, self._idle_seconds, self._clock = begin, keep, may_end, idle_seconds, clock
        self._given_up = Abandoned(switch)
        self._since, self._over = clock(), False
        self._not_before = self._since + wait
        self._steps: Steps | None = None

    def disturb(self) -> None:
        """Somebody asks for something: the batch that is measured ends."""
        self._given_up.add(_MINE)

    def pause(self) -> None:
        """What disturbed is being done: measure on when it has been quiet for a while again."""
        self._given_up.discard(_MINE)
        self._since = self._clock()

    def rest(self) -> float | None:
        """Nothing else is to do: measure one batch if it has been quiet for long enough. Says when to come again; None: never."""
        wait = max(self._since + self._idle_seconds, self._not_before) - self._clock()
        if self._over or wait > 0:
            return None if self._over else wait
        if self._given_up.begin({_MINE}, may_end=self._may_end):
            self._step()
        return None if self._over else 0.0

    def _step(self) -> None:
        self._steps = self._steps or self._begin()
        try:
            next(self._steps)
        except StopIteration as end:
            tuned: Tuned = end.value
            log.info("measured%s: %s, %s", "" if tuned.complete else " in part", tuned.layout, tuned.curve)
            self._end(tuned)
        except OndolError as error:
            log.info("this model was not measured: %s", error)
            self._end(None)
        finally:
            self._given_up.end()

    def _end(self, tuned: Tuned | None) -> None:
        again = None
        try:
            again = self._keep(tuned)
        except OSError as error:
            log.warning("what was measured can't be kept: %s", error.strerror)
        self._steps, self._over, self._not_before = None, again is None, self._clock() + (again or 0.0)
