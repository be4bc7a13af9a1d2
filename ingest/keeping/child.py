"""One run as a child process: its JSON lines are told as they come; one that says nothing for too long is ended, with all that it started.

Its standard input is a pipe of ours (`--until-stdin-closes`): it ends by itself when we do, however we do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from app.core.errors import foreign

END_SECONDS = 5.0
_LONGEST_LINE = 1 << 28
_KEPT_ERRORS = 4000
_TICK = 1.0


class Ended(NamedTuple):
    """How it went: the exit status (None: it had to be ended), and the last error that it told."""

    status: int | None
    error: str


class Child:
    """Made by `start`, ended by `run` or `end`."""

    def __init__(self, process: asyncio.subprocess.Process, on_line: Callable[[dict[str, Any]], None]) -> None:
        self._process, self._on_line = process, on_line
        self._said, self._error = b"", ""

    @classmethod
    async def start(cls, line: Sequence[str], root: Path, on_line: Callable[[dict[str, Any]], None]) -> Child:
        """Begin it over this data folder. An OndolError where the system can't."""
        # From where we import ourselves: the current folder may hold an `app` of somebody else.
        environment = {**os.environ, "ONDOL_HOME": str(root), "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
        try:
            process = await asyncio.create_subprocess_exec(
                *line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                limit=_LONGEST_LINE,
                **_apart(),
            )
        except OSError as error:
            raise foreign(error) from None
        return cls(process, on_line)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def run(self, silence: float) -> Ended:
        """Until its end, or until it has said nothing for `silence` seconds. Cancelled: it is ended first."""
        listening = asyncio.create_task(self._errors())
        try:
            ended = await self._listen(silence)
            # What it started may hold its end of the pipe open: its last words are waited for, not those of others.
            await asyncio.wait([listening], timeout=1.0)
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            listening.cancel()
        last = self._said.decode("utf-8", "replace").strip().splitlines()[-1:]
        return Ended(ended, self._error or (last[0] if last and ended != 0 else ""))

    async def _listen(self, silence: float) -> int | None:
        assert self._process.stdout is not None, "it is a pipe"
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            try:
                raw = await asyncio.wait_for(self._process.stdout.readline(), min(silence, _TICK))
            except TimeoutError:
                if self._process.returncode is not None:
                    break  # ended, and what it had started holds its end of the pipe
                if loop.time() - heard < silence:
                    continue
                await self.end()
                return None
            if not raw:
                break
            heard = loop.time()
            with contextlib.suppress(ValueError):  # a library's stray print
                said = json.loads(raw)
                if isinstance(said, dict):
                    self._heard(said)
        if not await self._gone(silence):
            await self.end()
            return None
        return self._process.returncode

    async def _gone(self, seconds: float) -> bool:
        """Whether it ends in that time. asyncio's own `wait` waits for the pipes too, which a grandchild may hold."""
        end = asyncio.get_running_loop().time() + seconds
        while self._process.returncode is None and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)
        return self._process.returncode is not None

    def _heard(self, said: dict[str, Any]) -> None:
        if error := said.get("error"):
            self._error = str(error.get("message", "")) if isinstance(error, dict) else str(error)
        self._on_line(said)

    async def _errors(self) -> None:
        assert self._process.stderr is not None, "it is a pipe"
        while raw := await self._process.stderr.read(4096):
            self._said = (self._said + raw)[-_KEPT_ERRORS:]

    async def end(self) -> None:
        """Ask, wait a little, then kill it and all that it started."""
        family = _family(self._process.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._gone(END_SECONDS)
        for process in {*family, *_family(self._process.pid)}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        await self._gone(END_SECONDS)
        with contextlib.suppress(TimeoutError):  # for the pipes
            await asyncio.wait_for(self._process.wait(), _TICK)


def _family(pid: int) -> list[psutil.Process]:
    """It and all that it started, also what came late or has lost its parent, where the system keeps sessions."""
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        found = [*process.children(recursive=True), process]
    return [*found, *_session(pid)]


if sys.platform == "win32":

    def _apart() -> dict[str, Any]:
        """Without a console window, out of reach of Ctrl-C on ours."""
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}

    def _session(pid: int) -> list[psutil.Process]:  # noqa: ARG001 - Windows has no sessions like these
        return []

else:

    def _apart() -> dict[str, Any]:
        """Out of reach of Ctrl-C on the terminal: the keeper decides when it ends."""
        return {"start_new_session": True}

    def _session(pid: int) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _leader(process.pid) == pid]

    def _leader(pid: int) -> int | None:
        try:
            return os.getsid(pid)
        except OSError:
            return None
