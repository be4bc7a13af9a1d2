"""`ondol open-webui` as a process, and what is asked of its page."""

from __future__ import annotations

import json
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 200.0  # its own waits end before


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Run:
    """One `ondol open-webui --json`, its events as they come."""

    def __init__(self, home: Path, words: list[str], environment: dict[str, str]) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "open-webui", "--json", *words],
            env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next(self) -> dict[str, Any] | None:
        """The next event; None at the end of the output."""
        line = self._lines.get(timeout=PATIENCE)
        if not line:
            self._lines.put("")
            return None
        self.events.append(json.loads(line))
        return self.events[-1]

    def until(self, wanted: str) -> dict[str, Any]:
        """Read on to the event; fails where the output ends before."""
        while (event := self._next()) is not None:
            if event.get("event") == wanted or wanted in event:
                return event
        raise AssertionError(f"no {wanted} in {self.events}")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # prints its stacks
            raise
        while self._next() is not None:
            pass
        return status

    @property
    def given(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "open-webui" / "data" / "given.json").read_text(encoding="utf-8"))
        return found

    def rows(self) -> dict[str, Any]:
        database = sqlite3.connect(self.home / "open-webui" / "data" / "webui.db")
        found = {key: json.loads(value) for key, value in database.execute("SELECT key, value FROM config")}
        database.close()
        return found


Start = Callable[..., Run]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
