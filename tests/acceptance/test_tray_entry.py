"""The icon's place among the programs: installed with the command, clicked as a desktop does, the real tray and server behind it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from app.core.paths import Home
from app.core.server_record import running

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is no freedesktop menu"),
    pytest.mark.skipif(shutil.which("gio") is None, reason="gio is missing (Debian: libglib2.0-bin)"),
]
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def wait(met: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A data folder whose tray is ended after the test, whatever the test came to."""
    home = Home(tmp_path / "내 집 100% $HOME")
    yield home
    if (pid := keeper(home)) is not None and psutil.pid_exists(pid):
        os.kill(pid, signal.SIGTERM)
        wait(lambda: not psutil.pid_exists(pid))


def keeper(home: Home) -> int | None:
    """The process that says of itself that it holds the tray's lock."""
    note = home.locks / "tray.lock.who"
    found = re.search(r"pid (\d+)", note.read_text(encoding="utf-8")) if note.exists() else None
    return int(found[1]) if found else None


def test_a_click_on_the_entry_starts_the_tray_over_the_same_data_and_a_second_click_starts_no_second_one(
    home: Home, tmp_path: Path
) -> None:
    bare = {name: value for name, value in os.environ.items() if name not in DISPLAYS and not name.startswith("ONDOL_")}
    session = {**bare, "ONDOL_PORT": "0", "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    ondol = [sys.executable, "-P", "-m", "app.cli", "tray"]
    subprocess.run([*ondol, "--install"], env={**session, "ONDOL_HOME": str(home.root)}, cwd=tmp_path, check=True)
    (entry,) = (tmp_path / "data" / "applications").iterdir()
    # As at login: nothing says where the data are but the entry.
    log = (tmp_path / "said").open("wb")
    with log:
        click = ["gio", "launch", str(entry)]
        subprocess.run(click, env=session, cwd=tmp_path, check=True, stdout=log, stderr=log)
        wait(lambda: running(home))
        first, record = keeper(home), running(home)
        assert first is not None
        assert record is not None
        assert psutil.Process(record.pid).ppid() == first
        subprocess.run(click, env=session, cwd=tmp_path, check=True, stdout=log, stderr=log)
        wait(lambda: b"runs already" in (tmp_path / "said").read_bytes())
    assert keeper(home) == first
    assert running(home) == record
    os.kill(first, signal.SIGTERM)
    wait(lambda: running(home) is None)
    wait(lambda: not psutil.pid_exists(first))
    assert json.loads((home.root / "tray.json").read_text(encoding="utf-8"))["language"] == "auto"
    subprocess.run([*ondol, "--uninstall"], env={**session, "ONDOL_HOME": str(home.root)}, cwd=tmp_path, check=True)
    assert [path for name in ("data", "config") for path in (tmp_path / name).rglob("*") if path.is_file()] == []
