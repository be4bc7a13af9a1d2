"""What is known of a model on this machine when it is loaded, and how more is found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from models.engine.client import EngineSettings
from models.engine.fit import Fit, Machine
from models.engine.interrupt import Switch
from models.engine.tuning import store
from models.engine.tuning.idle import IdleTuning
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.measure import BUDGET, QUIET, Context, Measurement, Question
from models.engine.tuning.store import Store


class Remembered:
    """`layout` and `curve` as they were measured here; before that the default, and nothing. What the user has set is never changed.

    `found` says whether they were measured. Without a `tuning_folder` in the settings nothing is remembered.
    """

    def __init__(self, model: Path, settings: EngineSettings, fit: Fit, here: Machine, *, library: str, gpus: Sequence[str] = ()) -> None:
        self._here, self._settled, self._gpu = here, settings.threads > 0, fit.gpu_layers > 0
        self._store = Store(Path(settings.tuning_folder)) if settings.tuning_folder else None
        self._after = settings.tune_after
        cores = here.physical_cores, here.usable_cores
        about = (settings.threads, settings.gpu_layers, settings.parallel)
        self._key = store.key(model, library=library, cores=cores, gpus=gpus, settings=about) if self._store else ""
        tuned = self._store.read(self._key) if self._store else None
        self.found = tuned is not None
        self._default = Layout(fit.threads)
        self.layout = self._default if tuned is None else tuned.layout
        if self._settled:
            self.layout = msgspec.structs.replace(self.layout, threads=settings.threads)
        self.curve = () if tuned is None else tuned.curve

    def question(self, open: Callable[[Layout], Context], *, budget: float = BUDGET, quiet: float = QUIET) -> Question:
        """What is to be found out, beginning with the default."""
        return Question(open, self._default, self._here.usable_cores, self._settled, self._gpu, budget, quiet)

    def keep(self, tuned: Tuned) -> None:
        """For the next load. OSError where the disk refuses."""
        if self._store is not None:
            self._store.write(self._key, tuned)

    def when_idle(self, open: Callable[[Layout], Context], switch: Switch, *, truncates: bool) -> IdleTuning | None:
        """The measurement that begins by itself; None where it was made, or isn't wanted."""
        if self.found or self._store is None or self._after <= 0:
            return None
        steps = Measurement(self.question(open)).steps()
        return IdleTuning(steps, switch, self.keep, may_end=truncates and not self._gpu, idle_seconds=self._after)
