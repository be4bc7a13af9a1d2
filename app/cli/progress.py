"""An ingest run on the screen: a progress bar on a terminal, a JSON line per event with `--json`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

import msgspec
import rich.console
import rich.progress
import rich.text

from app.cli.output import Output
from ingest.generations import Renewed, Renewing
from ingest.report import Committed, Compared, Event, Finished, Notice, Started, Waiting

_OF_THE_LAST = 600.0
"""Seconds of which rate and time left are made: a large model on a small computer takes minutes for one batch."""


class Rate(rich.progress.ProgressColumn):
    """Items a second, of the last minutes."""

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """Nothing until it is known."""
        speed = task.finished_speed or task.speed
        return rich.text.Text(f"{speed:,.0f}/s" if speed and speed >= 10 else f"{speed:.1f}/s" if speed else "")


class Shown:
    """Takes a run's events. `clock`: seconds."""

    def __init__(self, out: Output, screen: rich.console.Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        screen = screen or rich.console.Console(file=sys.stderr, force_terminal=sys.stderr.isatty())
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[chunks]} chunks"),
            Rate(),
            rich.progress.TimeRemainingColumn(),
            speed_estimate_period=_OF_THE_LAST,
            get_time=clock,
            console=screen,
            disable=out.json or not screen.is_terminal,
            transient=True,
        )
        self._tasks: dict[tuple[str, str], rich.progress.TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def event(self, event: Event) -> None:
        """One more."""
        if not isinstance(event, Finished):
            self._out.data(msgspec.to_builtins(event))
        match event:
            case Compared(store=store, source=source, rows=rows):
                self._bar.update(self._task(store, source), completed=rows)
            case Started(store=store, source=source, total=total):
                self._bar.reset(self._task(store, source), total=total)
            case Committed(store=store, source=source, items=items, chunks=chunks):
                self._bar.update(self._task(store, source), completed=items, chunks=chunks)
            case Waiting(store=store, holder=holder):
                self._out.note(f"Waiting: the store '{store}' is being written by {holder}.")
            case Renewing(store=store, model=model, done=done, total=total):
                task = self._task(store, f"{store}: embedding anew with {model}")
                self._bar.update(task, completed=done, total=total, chunks=total)
            case Renewed(store=store, model=model):
                self._out.note(f"The store '{store}' is searched with {model} from now on.")
            case Notice(text=text):
                self._out.note(f"note: {text}")
            case _:
                pass

    def _task(self, store: str, name: str) -> rich.progress.TaskID:
        if (store, name) not in self._tasks:
            self._tasks[store, name] = self._bar.add_task(name, total=None, chunks=0)
        return self._tasks[store, name]
