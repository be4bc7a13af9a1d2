from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tray.installing.launch import Launch
from tray.installing.places import Desktop
from tray.installing.unit import SHIPPED, UserUnit, exec_start, text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no systemd, and a link needs an administrator")
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


class Systemctl:
    """Remembers what it was asked; a manager that can't be reached says so."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.asked: list[str] = []

    def __call__(self, line: Sequence[str]) -> tuple[int, str]:
        self.asked.append(" ".join(line))
        return self.status, "" if self.status == 0 else "Failed to connect to bus"


def program(folder: Path) -> str:
    path = folder / "온돌 dir 100%" / "python"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def verified(unit: Path) -> str:
    """What systemd finds amiss with this unit; the machine's own units may have faults of theirs."""
    # Without a runtime folder it gives up before it looks.
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(unit.parent)}
    done = subprocess.run(["systemd-analyze", "verify", "--user", unit], env=environ, capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if unit.name in line)


def test_the_words_of_a_command_mean_nothing_else_to_systemd() -> None:
    assert exec_start(["/p", "a b", "100%", "$HOME", 'q"\\']) == '"/p" "a b" "100%%" "$$HOME" "q\\"\\\\"'


@analyze
def test_the_shipped_unit_is_right_as_it_stands(tmp_path: Path) -> None:
    unit = tmp_path / "ondol.service"
    unit.write_bytes(SHIPPED.read_bytes())
    assert verified(unit) == ""


@analyze
def test_the_unit_in_its_place_is_right_with_odd_paths(tmp_path: Path) -> None:
    unit = tmp_path / "ondol.service"
    unit.write_text(text(Launch(program(tmp_path), home="/data/내 $HOME 100%")), encoding="utf-8")
    assert verified(unit) == ""


@analyze
def test_systemd_would_find_a_mistake(tmp_path: Path) -> None:
    unit = tmp_path / "ondol.service"
    unit.write_text(text(Launch("/nowhere/python")), encoding="utf-8")
    assert "/nowhere/python" in verified(unit)


def test_install_puts_it_in_place_switched_on_and_started(tmp_path: Path) -> None:
    manager = Systemctl()
    unit = UserUnit(Desktop("linux", tmp_path / "홈", {}, manager))
    notes = unit.install(Launch("/p", home="/내 집"))
    assert 'ExecStart="/p" "-P" "-m" "tray.main" "--home" "/내 집" "--headless"' in unit.path.read_text(encoding="utf-8").splitlines()
    assert unit.link.resolve() == unit.path.resolve()
    assert manager.asked == ["systemctl --user daemon-reload", "systemctl --user restart ondol.service"]
    assert "It runs now" in notes[0]
    assert unit.install(Launch("/p")) == notes


def test_without_a_manager_it_is_in_place_and_its_user_is_told(tmp_path: Path) -> None:
    unit = UserUnit(Desktop("linux", tmp_path, {}, Systemctl(1)))
    notes = unit.install(Launch("/p"))
    assert unit.link.exists()
    assert "Failed to connect to bus" in notes[0]
    assert "enable-linger" in notes[1]


def test_uninstall_stops_it_and_takes_both_files_away(tmp_path: Path) -> None:
    manager = Systemctl()
    unit = UserUnit(Desktop("linux", tmp_path, {}, manager))
    unit.install(Launch("/p"))
    manager.asked.clear()
    assert unit.uninstall() == [unit.link, unit.path]
    assert manager.asked == ["systemctl --user stop ondol.service", "systemctl --user daemon-reload"]
    assert unit.uninstall() == []
    assert len(manager.asked) == 2
