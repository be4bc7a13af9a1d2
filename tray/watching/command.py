"""An `ondol` command as a child process: its JSON lines are told as they come, and it ends when we do.

Its standard input is a pipe of ours: a command started with `--until-stdin-closes` ends by itself when the tray goes, however it goes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from app.core.errors import foreign
from app.core.paths import Home

log = logging.getLogger(__name__)
LONGEST_LOG = 1_000_000  # bytes of a native log before it begins anew
# UTF-8 whatever the system's own: names of files may hold any letter.
LINE = (sys.executable, "-P", "-X", "utf8", "-m", "app.cli")


class Command:
    """One run. `on_line` gets every JSON object, `on_end` the exit status; both on a thread of ours, the end last.

    An OndolError where it can't be started. What it says on standard error goes to a log of its own.
    """

    def __init__(
        self,
        home: Home,
        words: Sequence[str],
        *,
        on_line: Callable[[dict[str, Any]], None],
        on_end: Callable[[int], None],
        line: Sequence[str] = LINE,
    ) -> None:
        self._on_line, self._on_end = on_line, on_end
        self.name = words[0] if words else "ondol"
        errors = home.logs / f"tray-{self.name}.native.log"
        # Over our folder, and from where we import ourselves: the current folder may hold an `app` of somebody else.
        environment = {**os.environ, "ONDOL_HOME": str(home.root), "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
        with contextlib.ExitStack() as opened:
            try:
                said: Any = opened.enter_context(_appending(errors))
            except OSError as error:  # a folder that can't be written, or a full disk, keeps nobody from working
                log.warning("%s can't be written: %s", errors, error)
                said = subprocess.DEVNULL
            try:
                self._process = subprocess.Popen(
                    [*line, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment, **_apart()
                )
            except OSError as error:
                raise foreign(error) from None
        self._reader = threading.Thread(target=self._read, name=self.name, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the command's own process."""
        return self._process.pid

    def ask_to_end(self) -> None:
        """Close its standard input; returns at once."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def end(self, seconds: float) -> None:
        """Ask, wait up to `seconds`, then kill it and all that it started. Returns when it has ended."""
        self.ask_to_end()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s did not end within %.0f s and is killed", self.name, seconds)
            family = _family(self._process.pid)
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join(2.0)

    def _read(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        for raw in self._process.stdout:
            try:
                found = json.loads(raw)
            except ValueError:
                continue  # a library's stray print
            if isinstance(found, dict):
                self._on_line(found)
        status = self._process.wait()
        self.ask_to_end()
        self._process.stdout.close()
        self._on_end(status)


def message(said: dict[str, Any]) -> str:
    """What an error line says, "" where the line is none."""
    error = said.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def code(said: dict[str, Any]) -> str:
    """The word of an error line."""
    error = said.get("error")
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _appending(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    large = path.exists() and path.stat().st_size > LONGEST_LOG
    return path.open("wb" if large else "ab")


def _family(pid: int) -> list[psutil.Process]:
    """The leaves first: a parent that is killed last can't start another."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*reversed(process.children(recursive=True)), process]
    return []


if sys.platform == "win32":

    def _apart() -> dict[str, Any]:
        """Without a console window, out of reach of Ctrl-C on ours."""
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}

else:

    def _apart() -> dict[str, Any]:
        """Out of reach of Ctrl-C on the terminal: the tray decides when it ends."""
        return {"start_new_session": True}
