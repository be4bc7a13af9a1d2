"""The tray's keeper over a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.core.paths import Home
from app.core.server_record import running
from tray.supervisor import Supervisor

pytestmark = pytest.mark.acceptance


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "온돌 home"))
    monkeypatch.setenv("ONDOL_PORT", "0")
    return Home.find()


def test_it_starts_a_server_where_none_runs_and_ends_the_one_it_started(home: Home) -> None:
    keeper = Supervisor(home)
    assert keeper.status().state == "stopped"
    keeper.start()
    status = keeper.wait(60)
    assert status.state == "ready"
    assert status.detail.startswith("http://127.0.0.1:")
    keeper.stop()
    assert running(home) is None
    assert keeper.status().state == "stopped"


def test_it_adopts_a_server_that_runs_and_leaves_it_alone(home: Home) -> None:
    first, second = Supervisor(home), Supervisor(home)
    first.start()
    assert first.wait(60).state == "ready"
    try:
        second.start()
        assert second.status().state == "external"
        second.stop()
        assert running(home) is not None
    finally:
        first.stop()


def test_a_server_that_can_not_start_is_failed_with_where_to_look(home: Home) -> None:
    home.config.write_text("sever: {port: 1}\n", encoding="utf-8")
    keeper = Supervisor(home)
    keeper.start()
    status = keeper.wait(60)
    assert status.state == "failed"
    assert "78" in status.detail
    assert "sever" in (home.logs / "server.native.log").read_text(encoding="utf-8")


def test_without_a_display_the_tray_says_so_and_keeps_the_server_and_a_killed_tray_leaves_none(home: Home) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    tray = subprocess.Popen([sys.executable, "-P", "-m", "tray.main"], env=environment, stderr=subprocess.PIPE, text=True)
    assert tray.stderr is not None
    assert "No tray icon here" in tray.stderr.readline()
    record = running(home)
    assert record is not None
    server = psutil.Process(record.pid)
    tray.send_signal(signal.SIGKILL)
    tray.communicate()
    assert server.wait(20) is None or not server.is_running()
