"""The tray's keeper over the real server, and the tray's program where there is no display."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.paths import Home
from app.core.server_record import running
from tray.keeping.keeper import Keeper
from tray.records import Server, State

pytestmark = pytest.mark.acceptance


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "온돌 home"))
    monkeypatch.setenv("ONDOL_PORT", "0")
    return Home.find()


@contextmanager
def kept(home: Home) -> Iterator[Keeper]:
    keeper = Keeper(home, lambda server: None)
    try:
        yield keeper
    finally:
        keeper.close()


def until(keeper: Keeper, *states: State, seconds: float = 90) -> Server:
    server: Server = until_true(lambda: keeper.server if keeper.server.state in states else None, seconds)
    return server


def until_true(found: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while (value := found()) is None:
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.05)
    return value


def test_it_starts_a_server_where_none_runs_and_ends_the_one_it_started(home: Home) -> None:
    with kept(home) as keeper:
        assert keeper.server.state is State.STOPPED
        keeper.start()
        assert until(keeper, State.READY).address.startswith("http://127.0.0.1:")
    assert running(home) is None
    assert keeper.server.state is State.STOPPED


def test_it_adopts_a_server_that_runs_and_leaves_it_alone(home: Home) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(kept(home))
        first.start()
        address = until(first, State.READY).address
        with kept(home) as second:
            second.start()
            assert until(second, State.EXTERNAL).address == address
        assert running(home) is not None
        assert first.server.state is State.READY


def test_a_server_that_can_not_start_is_failed_with_its_wrong_line(home: Home) -> None:
    home.config.write_text("sever: {port: 1}\n", encoding="utf-8")
    with kept(home) as keeper:
        keeper.start()
        problem = until(keeper, State.FAILED).problem
        assert problem is not None
        assert problem.code == "settings"
        assert "sever" in problem.values["detail"]


def test_without_a_display_the_tray_keeps_the_server_and_a_killed_tray_leaves_none(home: Home) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    tray = subprocess.Popen([sys.executable, "-P", "-m", "tray.main"], env=environment, stderr=subprocess.DEVNULL)
    try:
        server = psutil.Process(until_true(lambda: running(home)).pid)
    finally:
        tray.send_signal(signal.SIGKILL)
        tray.wait()
    server.wait(20)
    assert running(home) is None
