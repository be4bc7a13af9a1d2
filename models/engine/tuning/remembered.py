"""What is known of a model on this machine when it is loaded, and how more is found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from models.engine.client import EngineSettings
from models.engine.fit import Fit, Machine
from models.engine.interrupt import Switch
from models.engine.tuning import store
from models.engine.tuning.idle import IdleTuning
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.measure import QUIET, Context, Measurement, Question
from models.engine.tuning.plan import WHEN_IDLE, Time, again_after
from models.engine.tuning.store import Kept, Store


class Remembered:
    """`layout` and `curve` as they were measured here; before that the default, and nothing. What the user has set is never changed.

    `found` says whether all of it was measured. Without a `tuning_folder` in the settings nothing is remembered.
    """

    def __init__(
        self,
        model: Path,
        settings: EngineSettings,
        fit: Fit,
        here: Machine,
        *,
        library: str,
        gpus: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._here, self._settled, self._gpu = here, settings.threads > 0, fit.gpu_layers > 0
        self._store = Store(Path(settings.tuning_folder)) if settings.tuning_folder else None
        self._after = settings.tune_after
        cores = here.physical_cores, here.usable_cores
        about = (settings.threads, settings.gpu_layers, settings.parallel)
        self._key = store.key(model, library=library, cores=cores, gpus=gpus, settings=about) if self._store else ""
        tuned = self._tuned = self._store.read(self._key) if self._store else None
        self.found = tuned is not None and tuned.complete
        self._default = Layout(fit.threads)
        self.layout = self._default if tuned is None else tuned.layout
        if self._settled:
            self.layout = msgspec.structs.replace(self.layout, threads=settings.threads)
        self.curve = () if tuned is None else tuned.curve

    def question(self, open: Callable[[Layout], Context], *, time: Time = WHEN_IDLE, quiet: float = QUIET) -> Question:
        """What is to be found out, beginning with the default."""
        return Question(open, self._default, self._here.usable_cores, self._settled, self._gpu, time, quiet)

    def keep(self, tuned: Tuned) -> Tuned:
        """Keep it for the next load, unless more is known already; returns what that load takes. OSError where the disk refuses."""
        return self._write(tuned)

    def when_idle(self, open: Callable[[Layout], Context], switch: Switch, *, truncates: bool) -> IdleTuning | None:
        """The measurement that begins by itself; None where it was made, or isn't wanted."""
        if self.found or self._store is None or self._after <= 0:
            return None
        return IdleTuning(
            lambda: Measurement(self.question(open)).steps(),
            switch,
            self.keep_try,
            wait=self._wait(),
            may_end=truncates and not self._gpu,
            idle_seconds=self._after,
        )

    def keep_try(self, tuned: Tuned | None) -> float | None:
        """Keep what was found, or that nothing was; after how long to try again."""
        kept = self._write(tuned or Tuned(self._default), tried_at=self._now())
        return None if kept.complete else again_after(kept.tries)

    def _wait(self) -> float:
        """Seconds of the back-off that are left; a clock that was set back makes it no longer."""
        tuned = self._tuned
        if tuned is None or not tuned.tries:
            return 0.0
        whole = again_after(tuned.tries)
        return max(0.0, min(whole, tuned.tried_at + whole - self._now()))

    def _write(self, tuned: Tuned, tried_at: float | None = None) -> Kept:
        """`tried_at`: when a try ended that made itself; a person's own doesn't count as one."""
        before = (self._store.read(self._key) if self._store else None) or Kept(self._default)
        best = before if not tuned.complete and self._known(before) > self._known(tuned) else tuned
        tries, at = (before.tries, before.tried_at) if tried_at is None else (before.tries + 1, tried_at)
        if best.complete:
            tries, at = 0, 0.0
        kept = Kept(best.layout, best.trials, best.curve, best.complete, tries, at)
        if self._store is not None:
            self._store.write(self._key, kept)
        return kept

    def _known(self, tuned: Tuned) -> tuple[bool, bool, int]:
        return tuned.complete, tuned.layout != self._default, len(tuned.curve)
