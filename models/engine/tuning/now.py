"""Measures a model at once, in this process: for `ondol models tune`. It loads the model beside whoever serves it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.engine import machine
from models.engine.client import EngineSettings
from models.engine.fit import Wishes, fit
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.measure import Measurement, open_context
from models.engine.tuning.plan import Time
from models.engine.tuning.remembered import Remembered
from models.gguf import read_header


def measure(path: Path, settings: EngineSettings, *, time: Time, quiet: float, told: Callable[[], None]) -> tuple[Tuned, Layout]:
    """What is found in about that time, and the layout that the next load takes; `told` is called while it goes on.

    NotReady where the machine is busy: less than `quiet` of the processor was to be had. OSError where the disk refuses.
    """
    header = read_header(path)
    from models.engine.llama import binding  # native code: only now that the file was found whole
    from models.engine.llama.model import Model

    binding.self_test()
    gpus = binding.devices()
    wishes = Wishes(settings.context, settings.parallel, settings.threads, settings.gpu_layers)
    here = machine.look(free_vram=sum(gpu.free for gpu in gpus))
    layout = fit(header, wishes, here)
    with contextlib.closing(Model(path, gpu_layers=layout.gpu_layers)) as model:
        remembered = Remembered(path, settings, layout, here, library=binding.PINNED, gpus=[gpu.name for gpu in gpus])
        steps = Measurement(remembered.question(partial(open_context, model), time=time, quiet=quiet)).steps()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                tuned: Tuned = end.value
                break
            told()
    return tuned, remembered.keep(tuned).layout
