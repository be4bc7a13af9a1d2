"""One server process: started with a pipe as its input, heard on both outputs until they end, ended with rising force.

Its input is a pipe of ours whose end ends it: when the tray goes, however it goes, the server ends by itself, on every system.
(PR_SET_PDEATHSIG would end it with the thread that started it.) Windows' job object does the same for all of its family.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

LOG_LIMIT = 1_000_000  # bytes; then the file starts anew
LONGEST_LINE = 64 * 1024  # bytes
TAIL, WIDTH = 40, 1000  # lines, and characters of each

if sys.platform == "win32":
    from tray.keeping.windows_job import Job


class Child:
    """A running server; OSError where the program can't be run.

    `on_line` gets each line of its standard output, `on_end` its exit status and the last lines of its standard error, both on
    threads of ours. What it prints on standard error goes to `log`; `on_log` is told once where that can't be written.
    """

    def __init__(
        self,
        line: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[int, list[str]], None],
        on_log: Callable[[OSError], None],
    ) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._log_path, self._on_line, self._on_end, self._on_log = log, on_line, on_end, on_log
        self._log: IO[bytes] | None = None
        self._log_failed = False
        self._process = self._start(line, environment)
        self.pid = self._process.pid
        assert self._process.stdout is not None, "started with a pipe"
        assert self._process.stderr is not None, "started with a pipe"
        said = self._thread("said", self._hear, self._process.stdout, self._on_line)
        printed = self._thread("printed", self._hear, self._process.stderr, self._printed)
        self._thread("end", self._wait, said, printed)

    def close_input(self) -> None:
        """The polite end: it finishes what is under way, for as long as it allows itself."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    if sys.platform == "win32":

        def _start(self, line: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
            suspended = 0x4  # nobody of its family may be born outside the job
            process = subprocess.Popen(
                line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **environment},
                creationflags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP | suspended,
            )
            try:
                self._job: Job | None = Job()
                self._job.take(int(process._handle))  # type: ignore[attr-defined]  # Windows' Popen has it
            except OSError:
                self._job = None
            psutil.Process(process.pid).resume()
            return process

        def terminate(self) -> None:
            """Windows has no polite signal for a program without a window: it has its closed input."""
            self.close_input()

        def kill(self) -> None:
            """End it at once, with its family."""
            if self._job is not None:
                self._job.kill()
            else:
                self._process.kill()

    else:

        def _start(self, line: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C at a terminal is for the tray, which then ends it in order
            )

        def terminate(self) -> None:
            """Ask it and its group to end."""
            self._send(signal.SIGTERM)

        def kill(self) -> None:
            """End it at once, with its group."""
            self._send(signal.SIGKILL)

        def _send(self, number: signal.Signals) -> None:
            # Until it has been waited for, its pid and group are nobody else's.
            if self._process.returncode is None:
                with contextlib.suppress(OSError):
                    os.killpg(self.pid, number)

    def _thread(self, name: str, work: Callable[..., None], *given: object) -> threading.Thread:
        made = threading.Thread(target=work, args=given, name=f"server {self.pid} {name}", daemon=True)
        made.start()
        return made

    def _hear(self, stream: IO[bytes], on_line: Callable[[str], None]) -> None:
        """Read to the end, whatever comes: a pipe that nobody empties stops the one who writes."""
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while data := stream.read(65536):
                if stream is self._process.stderr:
                    self._keep(data)
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-LONGEST_LINE:]
                for line in lines:
                    on_line(line.decode("utf-8", "replace").rstrip("\r"))
        if rest:
            on_line(rest.decode("utf-8", "replace"))

    def _printed(self, line: str) -> None:
        self._tail.append(line[:WIDTH])

    def _keep(self, data: bytes) -> None:
        if self._log_failed:
            return
        try:
            if self._log is None:
                self._log_path.parent.mkdir(parents=True, exist_ok=True)
                self._log = open(self._log_path, "ab", buffering=0, opener=_private)  # noqa: SIM115  # open until its writer ends
            if self._log.tell() > LOG_LIMIT:
                self._log.truncate(0)
            self._log.write(data)
        except OSError as error:
            self._log_failed = True
            self._on_log(error)

    def _wait(self, said: threading.Thread, printed: threading.Thread) -> None:
        status = self._process.wait()
        # Its last words first. Not for long: a child of its own may hold the other ends open.
        said.join(1.0)
        printed.join(1.0)
        self.close_input()
        if not printed.is_alive() and self._log is not None:
            with contextlib.suppress(OSError):
                self._log.close()
        self._on_end(status, list(self._tail))


class Pulse:
    """How a process does, by pid and begin: another one that is given the same pid is not taken for it."""

    def __init__(self, pid: int) -> None:
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether it is still that process, and has not ended."""
        try:
            return self._process is not None and self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @property
    def cpu(self) -> float | None:
        """Seconds of processor time that it has used; None where it has ended."""
        try:
            times = self._process.cpu_times() if self._process is not None else None
        except psutil.Error:
            return None
        return None if times is None else times.user + times.system

    def stopped(self, *, deep: bool) -> bool:
        """Whether it stands still; `deep`: or a child of it."""
        if self._process is None:
            return False
        with contextlib.suppress(psutil.Error):
            watched = [self._process, *(self._process.children(recursive=True) if deep else ())]
            return any(_stands(process) for process in watched)
        return False

    def terminate(self) -> None:
        """Ask it to end (Windows: end it)."""
        if self._process is not None:
            with contextlib.suppress(psutil.Error):
                self._process.terminate()

    def kill(self) -> None:
        """End it and its children at once."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.Error):
            for process in [self._process, *self._process.children(recursive=True)]:
                process.kill()


def _stands(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
