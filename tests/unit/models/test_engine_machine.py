from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from models.engine import machine


def look_with(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> machine.Machine:
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(machine, "_CGROUP2", folder / "cpu_max")
    monkeypatch.setattr(machine, "_CGROUP1", (folder / "quota", folder / "period"))
    monkeypatch.setattr(machine, "_MEMORY", ((folder / "memory_max", folder / "memory_current"),))
    return machine.look()


def test_without_limits_all_cores_of_the_affinity_and_all_free_memory_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = look_with(monkeypatch, tmp_path)
    assert found.usable_cores >= 1
    assert 0 < found.free_memory <= psutil.virtual_memory().total
    assert (
        look_with(monkeypatch, tmp_path, cpu_max="max 100000\n", memory_max="max\n", memory_current="5\n").usable_cores
        == found.usable_cores
    )


def test_a_containers_share_of_the_processor_counts_in_whole_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look_with(monkeypatch, tmp_path, cpu_max="150000 100000\n").usable_cores == 1
    assert look_with(monkeypatch, tmp_path, cpu_max="20000 100000\n").usable_cores == 1


def test_the_older_form_of_the_limit_is_read_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look_with(monkeypatch, tmp_path, quota="100000\n", period="100000\n").usable_cores == 1
    unlimited = look_with(monkeypatch, tmp_path, quota="-1\n", period="100000\n").usable_cores
    assert unlimited == look_with(monkeypatch, tmp_path, quota="nonsense").usable_cores


def test_what_a_container_has_left_bounds_the_free_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look_with(monkeypatch, tmp_path, memory_max="1000000\n", memory_current="400000\n").free_memory == 600_000
