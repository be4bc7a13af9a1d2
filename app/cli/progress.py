"""An ingest run on the screen: a progress bar on a terminal, a JSON line per event with `--json`."""

from __future__ import annotations

import sys
from typing import Self

import msgspec
import rich.console
import rich.progress
import rich.text

from app.cli.output import Output
from ingest.generations import Renewed, Renewing
from ingest.report import Committed, Event, Finished, Notice, Started, Waiting


class Rate(rich.progress.ProgressColumn):
    """Items a second, of the last half minute or so."""

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """Nothing until it is known."""
        speed = task.finished_speed or task.speed
        return rich.text.Text(f"{speed:,.0f}/s" if speed and speed >= 10 else f"{speed:.1f}/s" if speed else "")


class Shown:
    """Takes a run's events."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[chunks]} chunks"),
            Rate(),
            rich.progress.TimeRemainingColumn(),
            console=rich.console.Console(file=sys.stderr),
            disable=out.json or not sys.stderr.isatty(),
            transient=True,
        )
        self._tasks: dict[str, rich.progress.TaskID] = {}

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
            case Started(source=source, total=total):
                self._tasks[source] = self._bar.add_task(source, total=total, chunks=0)
            case Committed(source=source, items=items, chunks=chunks) if source in self._tasks:
                self._bar.update(self._tasks[source], completed=items, chunks=chunks)
            case Waiting(store=store, holder=holder):
                self._out.note(f"Waiting: the store '{store}' is being written by {holder}.")
            case Renewing(store=store, model=model, done=done, total=total):
                name = f"{store}: embedding anew with {model}"
                if name not in self._tasks:
                    self._tasks[name] = self._bar.add_task(name, total=total, chunks=total)
                self._bar.update(self._tasks[name], completed=done, total=total)
            case Renewed(store=store, model=model):
                self._out.note(f"The store '{store}' is searched with {model} from now on.")
            case Notice(text=text):
                self._out.note(f"note: {text}")
            case _:
                pass
