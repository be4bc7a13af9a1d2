"""The Ondol server that the page speaks to: the one that runs over this home, else one that is started and ends with the page."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.chat_page import reach
from app.chat_page.child import apart
from app.core import ports
from app.core.errors import Cancelled, Deadline, UpstreamError
from app.core.paths import Home
from app.core.server_record import ServerRecord, running

START_SECONDS = 60.0
END_SECONDS = 15.0


class Server:
    """A server's address (without /v1). `ended` is for those that we started: they end when their standard input closes."""

    def __init__(self, address: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.address = address
        self._process = process

    @property
    def started(self) -> bool:
        """Whether it was started here."""
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether one that was started here has ended since."""
        return self._process is not None and self._process.poll() is not None


@contextlib.contextmanager
def server(home: Home, port: int, more: Mapping[str, str], stop: threading.Event) -> Iterator[Server]:
    """A server that answers. A new one takes `port` where that is free, so that the page's connection stays good; `more` is set for it."""
    if (found := running(home)) is not None:
        yield Server(found.address)
        return
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / "server.native.log"
    line = [sys.executable, "-P", "-m", "app.cli", "serve", "--until-stdin-closes"]
    if not ports.is_free(port):
        line += ["--port", "0"]
    with log.open("ab") as file:
        begins = file.tell()
        process = subprocess.Popen(
            line,
            env={**os.environ, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=file,
            **apart(),  # Ctrl-C is ours alone
        )
    try:
        record = _wait(home, process, log, begins, stop)
        yield Server(record.address, process if process.poll() is None else None)
    finally:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(home: Home, process: subprocess.Popen[bytes], log: Path, begins: int, stop: threading.Event) -> ServerRecord:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        found = running(home)  # ours, or one that somebody else has started meanwhile
        if found is not None and reach.get(f"{found.address}/health/live") is not None:
            return found
        if found is None and process.poll() is not None:
            with log.open("rb") as file:
                file.seek(begins)
                said = file.read(4000).decode("utf-8", "replace").strip().splitlines()
            raise UpstreamError(f"The Ondol server did not start: {said[-1] if said else process.returncode}", hint=f"See {home.logs}.")
        if stop.wait(0.1):
            raise Cancelled
    raise Deadline(f"The Ondol server did not start within {START_SECONDS:.0f} s.", hint=f"See {home.logs}.")
