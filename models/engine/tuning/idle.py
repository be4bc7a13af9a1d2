"""Measuring when nobody asks: a loaded model that has been idle for a while is measured once, and gives way at once.

A request that comes ends the batch that is measured, within milliseconds; the measurement goes on when all is quiet again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.core.errors import OndolError
from models.engine.interrupt import Abandoned, Switch
from models.engine.tuning.layout import Tuned
from models.engine.tuning.measure import Steps

log = logging.getLogger(__name__)
IDLE_SECONDS = 20.0
_MINE = 0  # requests count from 1


class IdleTuning:
    """One measurement in pauses of other work. `patience`: seconds of quiet to wait for before the next `step`.

    `disturb` is for any thread; the rest is for the one that computes. `may_end` False: a batch goes through (a GPU, a recurrent model).
    """

    def __init__(
        self, steps: Steps, switch: Switch, found: Callable[[Tuned], None], *, may_end: bool = True, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._steps, self._found, self._may_end, self._idle_seconds = steps, found, may_end, idle_seconds
        self._given_up = Abandoned(switch)
        self.over = False
        self.patience = idle_seconds

    def disturb(self) -> None:
        """Somebody asks for something: the batch that is measured ends."""
        self._given_up.add(_MINE)

    def pause(self) -> None:
        """The work that disturbed is there: measure on when it is quiet again."""
        self._given_up.discard(_MINE)
        self.patience = self._idle_seconds

    def step(self) -> None:
        """Measure one batch. What was found, or why it couldn't be, ends it: `over`."""
        if not self._given_up.begin({_MINE}, may_end=self._may_end):
            return
        try:
            next(self._steps)
            self.patience = 0.0
        except StopIteration as end:
            self.over = True
            self._keep(end.value)
        except OndolError as error:
            self.over = True
            log.info("this model was not measured: %s", error)
        finally:
            self._given_up.end()

    def _keep(self, tuned: Tuned) -> None:
        log.info("measured: %s, %s", tuned.layout, tuned.curve)
        try:
            self._found(tuned)
        except OSError as error:
            log.warning("what was measured can't be kept: %s", error.strerror)
