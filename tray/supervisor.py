"""Keeps one server alive: starts it where none runs, adopts one that does, and ends only the one it started.

The server's standard input is a pipe of ours: when the tray goes, however it goes, the server ends by itself.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Literal

from app.core.paths import Home
from app.core.server_record import running

State = Literal["stopped", "starting", "ready", "external", "failed"]


@dataclass(frozen=True)
class Status:
    """What the icon shows. `detail` is the address, or why the server isn't there."""

    state: State
    detail: str = ""


class Supervisor:
    """One server over one home. Methods return at once, `stop` after at most `grace` seconds. For one thread."""

    def __init__(self, home: Home, *, grace: float = 8.0) -> None:
        self._home, self._grace = home, grace
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a server where none runs."""
        if running(self._home) is None and (self._process is None or self._process.poll() is not None):
            self._home.logs.mkdir(parents=True, exist_ok=True)
            with (self._home.logs / "server.native.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "app.cli", "serve", "--until-stdin-closes"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )

    def status(self) -> Status:
        """Where the server stands now."""
        record = running(self._home)
        if record is not None:
            ours = self._process is not None and self._process.pid == record.pid
            return Status("ready" if ours else "external", record.address)
        if self._process is None:
            return Status("stopped")
        ended = self._process.poll()
        return Status("starting") if ended is None else Status("failed", f"The server ended with status {ended}: see {self._home.logs}")

    def wait(self, seconds: float = 30.0) -> Status:
        """The status once it is no longer `starting`, or after `seconds`."""
        end = time.monotonic() + seconds
        while (found := self.status()).state == "starting" and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def stop(self) -> None:
        """End the server that this supervisor started."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
