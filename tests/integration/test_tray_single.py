"""One tray per data folder, with real processes over real locks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.core.locks import FileLock
from app.core.paths import Home
from tray.single import AlreadyRunning, claim

FIRST = """
import sys, threading
from pathlib import Path
from app.core import egress
from app.core.paths import Home
from tray.single import claim
egress.install(egress.Policy("offline"))
with claim(Home(Path(sys.argv[1])), lambda: print("shown", flush=True)):
    print("first", flush=True)
    sys.stdin.read()
print("ended", flush=True)
"""
Start = Callable[[Home], "subprocess.Popen[str]"]


def nobody() -> None:
    raise AssertionError("nobody should have been shown")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that are the first of a home until their standard input closes."""
    began: list[subprocess.Popen[str]] = []

    def one(home: Home) -> subprocess.Popen[str]:
        line = [sys.executable, "-X", "utf8", "-c", FIRST, str(home.root)]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        began.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        return process

    yield one
    for process in began:
        process.kill()
        process.communicate()


@pytest.fixture(params=["plain", "온돌 의 집", "long"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Among them one whose path is longer than a local socket's may be."""
    name = request.param
    root = tmp_path / name if name != "long" else tmp_path / ("길" * 40) / ("l" * 100)
    root.mkdir(parents=True)
    return Home(root)


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_second_start_is_told_so_and_the_first_shows_itself_each_time(home: Home, start: Start) -> None:
    first = start(home)
    for _ in range(3):
        with pytest.raises(AlreadyRunning) as caught:
            claim(home, nobody)
        assert caught.value.told
        assert heard(first) == "shown\n"


def test_after_a_kill_another_is_the_first_at_once(home: Home, start: Start) -> None:
    first = start(home)
    first.kill()
    first.wait()
    assert (home.locks / "tray.door").exists()
    with claim(home, nobody, wait=0):
        pass


def test_after_an_end_in_order_nothing_is_left_but_the_lock(home: Home, start: Start) -> None:
    first = start(home)
    assert first.communicate()[0] == "ended\n"
    assert not (home.locks / "tray.door").exists()
    with claim(home, nobody, wait=0):
        pass


def test_each_data_folder_has_its_own(tmp_path: Path, start: Start) -> None:
    start(Home(tmp_path / "a"))
    with claim(Home(tmp_path / "b"), nobody, wait=0):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be stopped there")
def test_a_first_one_that_hangs_is_neither_replaced_nor_waited_for_for_ever(tmp_path: Path, start: Start) -> None:
    home = Home(tmp_path)
    first = start(home)
    os.kill(first.pid, signal.SIGSTOP)
    assert os.waitpid(first.pid, os.WUNTRACED)[1] & 0xFF == 0x7F, "it has stopped"
    try:
        with pytest.raises(AlreadyRunning, match="does not answer") as caught:
            claim(home, nobody, wait=0.2)
        assert not caught.value.told
    finally:
        os.kill(first.pid, signal.SIGCONT)


def test_a_first_one_that_is_just_ending_is_followed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ending = FileLock(home.locks / "tray.lock", wait=0).__enter__()
    threading.Timer(0.4, ending.__exit__, (None, None, None)).start()
    with claim(home, nobody, wait=30):
        pass


def test_of_many_that_start_at_once_one_is_the_first_and_is_shown_for_each_of_the_others(tmp_path: Path) -> None:
    home, shown, told = Home(tmp_path), threading.Semaphore(0), []
    begin, claims = threading.Barrier(6), []

    def one() -> None:
        begin.wait()
        try:
            claims.append(claim(home, shown.release, wait=30))
        except AlreadyRunning as error:
            told.append(error.told)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [True] * 5
    assert all(shown.acquire(timeout=10) for _ in range(5))
    (only,) = claims
    only.close()


@pytest.mark.parametrize("door", ["", "{", '{"port": 70000, "token": "x"}', '{"port": "a", "token": "x"}', '{"port": 1, "token": "x"}'])
def test_what_a_killed_one_left_behind_tells_nobody_and_fails_nobody(tmp_path: Path, door: str) -> None:
    home = Home(tmp_path)
    home.locks.mkdir()
    (home.locks / "tray.door").write_text(door, encoding="utf-8")
    with FileLock(home.locks / "tray.lock", wait=0), pytest.raises(AlreadyRunning) as caught:
        claim(home, nobody, wait=0)
    assert not caught.value.told
    (home.locks / "tray.door").write_text(door, encoding="utf-8")
    with claim(home, nobody, wait=0), pytest.raises(AlreadyRunning):
        claim(home, nobody, wait=0)


def test_who_does_not_know_the_token_is_not_let_in_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    home, shown = Home(tmp_path), threading.Event()
    with claim(home, shown.set):
        door = json.loads((home.locks / "tray.door").read_text(encoding="utf-8"))
        for word in (b"\n", b"x\n", b"x" * 5000, door["token"].encode()[:-1] + b"\n", b"\xff\n"):
            with socket.create_connection(("127.0.0.1", door["port"]), timeout=5) as stranger, suppress(ConnectionResetError):
                stranger.sendall(word)
                assert stranger.recv(10) == b""
        assert not shown.is_set()
        with pytest.raises(AlreadyRunning):
            claim(home, nobody)
        assert shown.wait(10)


def test_a_show_that_fails_leaves_the_door_open(tmp_path: Path) -> None:
    home, shown = Home(tmp_path), threading.Event()
    failures = iter([True, False])

    def show() -> None:
        if next(failures):
            raise RuntimeError("no panel")
        shown.set()

    with claim(home, show):
        for _ in range(2):
            with pytest.raises(AlreadyRunning) as caught:
                claim(home, nobody)
            assert caught.value.told
        assert shown.wait(10)


def test_a_folder_without_room_for_the_door_still_has_one_tray(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.locks / "tray.door").mkdir(parents=True)
    with claim(home, nobody, wait=0), pytest.raises(AlreadyRunning) as caught:
        claim(home, nobody, wait=0)
    assert not caught.value.told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_door_is_its_owners_alone(tmp_path: Path) -> None:
    with claim(Home(tmp_path), nobody):
        assert (tmp_path / "locks" / "tray.door").stat().st_mode & 0o777 == 0o600


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    first = claim(Home(tmp_path), nobody)
    first.close()
    with claim(Home(tmp_path), nobody, wait=0):
        first.close()
        with pytest.raises(AlreadyRunning):
            claim(Home(tmp_path), lambda: None, wait=0)
