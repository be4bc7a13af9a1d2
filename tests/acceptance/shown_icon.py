"""A program with the real icon, what it shows, and what it has told."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tray.records import Action, ActionKind, ChatPage, Download, Model, Problem, Server, Snapshot, State, Sync

PROGRAM = Path(__file__).with_name("tray_icon_program.py")
FULL = Snapshot(
    server=Server(
        State.READY, "http://127.0.0.1:11500", "0.1.0", problem=Problem("log_unwritable", {"folder": "/x"}, Action(ActionKind.OPEN_LOGS))
    ),
    models=(Model("smol_lm", "smol_lm & co", "loaded", default=True), Model("여우", "여우 모델")),
    downloads=(
        Download("d1", "gemma", 30, 100),
        Download("d2", "qwen", 10, 100, "paused"),
        Download("d3", "phi", 0, 0, "failed", "no route"),
    ),
    sync=Sync(last=1.0, sources=1),
    chat=ChatPage("ready", "http://127.0.0.1:11501"),
)


class Running:
    """The program with an icon, and what it has told."""

    def __init__(self, environment: dict[str, str], pictures: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(pictures)], cwd=PROGRAM.parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**environment, "PYTHONPATH": str(PROGRAM.parents[2])},
        )  # fmt: skip
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.put(json.loads(line))

    def ask(self, **asked: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(msgspec.to_builtins(asked)) + "\n")
        self.process.stdin.flush()

    def next(self, event: str, seconds: float = 20) -> dict[str, Any]:
        found = self.told.get(timeout=seconds)
        assert found["event"] == event, found
        return found

    def clicked(self) -> Action:
        found = self.next("click")
        return Action(ActionKind(found["kind"]), found["target"])


@contextlib.contextmanager
def showing(environment: dict[str, str], pictures: Path, snapshot: Snapshot = FULL, pause: float = 0.02) -> Iterator[Running]:
    running = Running(environment, pictures)
    try:
        running.ask(show=snapshot, pause=pause)
        yield running
    finally:
        with contextlib.suppress(BrokenPipeError):
            running.ask(stop=True)
        try:
            running.process.wait(10)
        except subprocess.TimeoutExpired:
            running.process.kill()
            raise
