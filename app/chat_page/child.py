"""Open WebUI's process: started in a group of its own with its log in a file, ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from app.core.errors import OndolError, foreign

GRACE_SECONDS = 10.0
OLD_LOGS = 3
TAIL_BYTES = 8000


class Child:
    """One running program. Ctrl-C on the terminal does not reach it: whoever made this decides when it ends."""

    def __init__(self, line: list[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
        self._log = log
        try:
            rotate(log)
            with log.open("wb") as file:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    line, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **apart()
                )
        except OSError as error:
            if isinstance(error, (PermissionError, FileNotFoundError)):
                raise OndolError(
                    f"{line[0]} can't be started: {error.strerror}.", hint="Check its permissions, or install it again."
                ) from None
            raise foreign(error) from error

    @property
    def pid(self) -> int:
        """Of the first process of the group."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit status once it has ended."""
        return self._process.poll()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask all of it to end, and after `grace` seconds make it."""
        end_group(self.pid, grace)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)

    def said(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(tail(self._log)[-lines:])


def tail(log: Path) -> list[str]:
    """The last lines of a log, without the empty ones."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def rotate(log: Path, keep: int = OLD_LOGS) -> None:
    """Make room for a new log: x.log becomes x.log.1, and so on; the oldest goes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    for number in range(keep, 0, -1):
        older = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))


def end_group(pid: int, grace: float) -> None:
    """End a process that leads a group, with all that it started; one that has ended already is no error."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
    _ask(pid)
    _, alive = psutil.wait_procs(family, timeout=grace)
    _make(pid)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=grace)


if sys.platform == "win32":

    def apart() -> dict[str, Any]:
        """Arguments of `Popen` for a group of its own, which Ctrl-C on the terminal does not reach."""
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def _ask(pid: int) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.CTRL_BREAK_EVENT)

    def _make(pid: int) -> None:
        """Nothing beside killing each one: Windows has no signal for a group that can't be refused."""

else:

    def apart() -> dict[str, Any]:
        """Arguments of `Popen` for a group of its own, which Ctrl-C on the terminal does not reach."""
        return {"start_new_session": True}

    def _ask(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)

    def _make(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
