"""What the person at the terminal sees: one line when a step begins, one when it ends, with its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

TAIL_LINES = 25


class Failed(Exception):
    """A step could not be done. The message says what to do; `log` holds all that the failed program printed."""

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Step:
    """One step while it runs: `note` is what its closing line says."""

    def __init__(self) -> None:
        self.note = "done"


class Console:
    """Prints steps. On a terminal a running step also shows what it is at; in a log file only whole lines appear."""

    def __init__(self, out: TextIO = sys.stdout, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._live = out.isatty()
        self._began = clock()

    def say(self, text: str = "") -> None:
        """A whole line."""
        self._clear()
        print(text, file=self._out, flush=True)

    def write(self, text: str) -> None:
        """Text as it comes, without a line's end."""
        print(text, end="", file=self._out, flush=True)

    def status(self, text: str) -> None:
        """What a long step is at; only on a terminal, and overwritten by the next line."""
        if self._live:
            print(f"\r\033[K    {text[:100]}", end="", file=self._out, flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=self._out)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Times a step; a `Failed` that leaves it is printed by the caller with the step's title in front."""
        began = self._clock()
        step = Step()
        self.say(f"> {title}")
        try:
            yield step
        except Failed as error:
            raise Failed(f"{title}: {error}", log=error.log) from error
        self.say(f"    {step.note} ({seconds(self._clock() - began)})")

    def failed(self, error: Failed) -> None:
        """Which step failed, why, and the end of its log."""
        self.say()
        if error.log is not None and error.log.exists():
            self.say(f"The last lines of {error.log}:")
            for line in tail(error.log):
                self.say(f"    | {line}")
        self.say(f"FAILED after {seconds(self._clock() - self._began)}: {error}")
        if error.log is not None:
            self.say(f"The whole log: {error.log}. Start the same command again: it goes on where it stopped.")


def seconds(value: float) -> str:
    """A duration as people read it: `0.4 s`, `12 s`, `4 min 35 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 100:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log, decoded as well as it goes."""
    text = log.read_bytes()[-64_000:].decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
