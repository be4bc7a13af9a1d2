"""A keeper over a real small server (`keeper_server.py`) that can be told to crash, hang, ignore signals, answer slowly."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from app.core.paths import Home
from app.core.server_record import running
from tray.keeping import family
from tray.keeping.events import Limits
from tray.keeping.family import Family
from tray.keeping.keeper import Keeper
from tray.records import Server, State

PROGRAM = Path(__file__).with_name("keeper_server.py")


QUICK = Limits(
    probe=0.2, doubt=0.1, answer=0.6, start=4, start_cap=20, patience=1.5, busy_patience=20, stop=1, kill=0.7, bury=5,
    backoff=0.1, backoff_cap=0.3, good=60, disk=0.4, watch=0.3,
)  # fmt: skip


class Kept:
    """A keeper over a home of its own, and all that it told."""

    def __init__(self, home: Home, folder: Path, *starts: dict[str, Any], **given: Any) -> None:
        self.home, self.folder, self.told = home, folder, list[Server]()
        plan = folder / "plan.json"
        plan.write_text(json.dumps(starts or [{}]), encoding="utf-8")
        self.line = [sys.executable, str(PROGRAM), str(plan)]
        self.keeper = Keeper(home, self.told.append, line=given.pop("line", self.line), **{"limits": QUICK, **given})

    def until(self, *states: State, seconds: float = 40) -> Server:
        return wait_for(lambda: self.keeper.server if self.keeper.server.state in states else None, seconds)

    def starts(self) -> int:
        counter = self.folder / "plan.count"
        return int(counter.read_text()) if counter.exists() else 0

    def pid(self) -> int:
        found = running(self.home)
        return found.pid if found else 0

    def another_than(self, pid: int) -> None:
        """Wait until another server is ready."""
        wait_for(lambda: self.keeper.server.state is State.READY and self.pid() not in (0, pid))

    def do(self, what: str) -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.keeper.server.address}/do/{what}", timeout=5) as answer:
            answer.read()

    def seen(self) -> list[State]:
        states = [server.state for server in self.told]
        return [state for place, state in enumerate(states) if place == 0 or states[place - 1] is not state]

    def problems(self) -> list[str]:
        return [server.problem.code for server in self.told if server.problem]


Keep = Callable[..., Kept]
"""Makes one: what each start of its server does, then what the keeper is given."""


def wait_for(found: Callable[[], Any], seconds: float = 40) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ours(home: Home) -> list[int]:
    """Every process that any keeper over this home has started and that lives."""
    word = Family(home.root)._home
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(family.VARIABLE, "").startswith(word):
                found.append(process.pid)
    return found
