from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import Conflict, OndolError
from app.core.locks import FileLock

HOLDER = """
import sys, time
from pathlib import Path
from app.core.locks import FileLock
with FileLock(Path(sys.argv[1]), who="ingest of 문서"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def test_a_lock_that_is_held_is_a_conflict_that_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "store-온돌.v1.lock"
    process = holder(path)
    try:
        with pytest.raises(Conflict, match=rf"in use by ingest of 문서 \(pid {process.pid}\)"), FileLock(path, wait=0):
            pass
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path / "a.lock")
    process.kill()
    process.wait()
    with FileLock(tmp_path / "a.lock", wait=0):
        pass


def test_who_waits_is_told_once_and_goes_on_when_the_holder_ends(tmp_path: Path) -> None:
    process = holder(tmp_path / "a.lock")
    told: list[str] = []

    def tell(who: str) -> None:
        told.append(who)
        process.kill()

    with FileLock(tmp_path / "a.lock", on_wait=tell):
        pass
    process.wait()
    assert len(told) == 1


def test_a_lock_can_be_taken_again_after_it_was_left(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "a.lock", wait=0)
    for _ in range(3):
        with lock, pytest.raises(Conflict), FileLock(tmp_path / "a.lock", wait=0):
            pass


def test_locks_whose_names_differ_after_a_dot_say_each_who_holds_it(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "store-a.b", who="one"), FileLock(tmp_path / "store-a.c", who="two")
    with one, two, pytest.raises(Conflict, match="by one "), FileLock(tmp_path / "store-a.b", wait=0):
        pass


def test_a_folder_that_can_not_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(OndolError, match="locks"), FileLock(tmp_path / "locks" / "a.lock"):
        pass
