"""A server that runs under the keeper: it crashes, hangs, is stopped, fills its pipe, and ends as it should."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from kept_server import QUICK, Keep, Kept, alive, ours, wait_for

from app.core.paths import Home
from app.core.server_record import running
from tray.keeping.events import Limits
from tray.records import Server, State


def test_it_starts_is_ready_and_ends_by_the_end_of_its_input(keep: Keep) -> None:
    kept = keep({"ignore_term": True})
    kept.keeper.start()
    server = kept.until(State.READY)
    assert server.version == "1.0"
    pid = kept.pid()
    kept.keeper.stop()
    kept.until(State.STOPPED)
    assert not alive(pid)
    assert running(kept.home) is None
    assert kept.seen() == [State.STARTING, State.READY, State.STOPPING, State.STOPPED]
    assert kept.problems() == []


def test_a_crash_is_told_with_its_last_words_and_mended(keep: Keep) -> None:
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    kept.do("crash")
    kept.another_than(first)
    crashed = next(server.problem for server in kept.told if server.state is State.BACKOFF)
    assert crashed is not None
    assert (crashed.code, crashed.values) == ("crashed", {"detail": "the last words"})
    assert "the last words" in (kept.home.logs / "server.native.log").read_text()


def test_a_hung_server_is_ended_with_its_workers_and_replaced(keep: Keep, tmp_path: Path) -> None:
    kept = keep({"ignore_term": True, "deaf": True, "worker": str(tmp_path / "worker")}, {})
    kept.keeper.start()
    kept.until(State.READY)
    first, worker = kept.pid(), int((tmp_path / "worker").read_text())
    kept.do("hang")
    kept.another_than(first)
    assert not alive(first)
    assert not alive(worker)
    assert kept.seen()[1:] == [State.READY, State.SUSPECT, State.STOPPING, State.BACKOFF, State.STARTING, State.READY]
    assert set(kept.problems()) == {"hung"}


def test_a_server_that_works_without_an_answer_is_given_time(keep: Keep) -> None:
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    kept.do("work")
    kept.until(State.SUSPECT)
    time.sleep(2 * QUICK.patience)
    assert kept.keeper.server.state is State.SUSPECT
    kept.do("rest")
    kept.until(State.READY)
    assert kept.pid() == first


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_server_is_woken_and_goes_on(keep: Keep) -> None:
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    for _ in range(2):
        kept.do("stop")
        wait_for(lambda: psutil.Process(first).status() != psutil.STATUS_STOPPED)
        kept.until(State.READY)
    assert kept.pid() == first
    assert kept.starts() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_server_that_shall_end_is_woken_to_hear_it(keep: Keep) -> None:
    kept = keep(limits=Limits())
    kept.keeper.start()
    kept.until(State.READY)
    pid = kept.pid()
    os.kill(pid, signal.SIGSTOP)
    kept.keeper.stop()
    kept.until(State.STOPPED)
    assert not alive(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_worker_of_a_killed_server_does_not_stay_behind(keep: Keep, tmp_path: Path) -> None:
    kept = keep({"worker": str(tmp_path / "worker")}, {})
    kept.keeper.start()
    kept.until(State.READY)
    first, worker = kept.pid(), int((tmp_path / "worker").read_text())
    os.kill(worker, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    kept.another_than(first)
    assert not alive(worker)


def test_who_ignores_the_end_of_its_input_and_sigterm_is_killed(keep: Keep) -> None:
    kept = keep({"ignore_term": True, "deaf": True})
    kept.keeper.start()
    kept.until(State.READY)
    pid = kept.pid()
    kept.keeper.stop()
    kept.until(State.STOPPED)
    assert not alive(pid)


def test_a_close_ends_whoever_ignores_everything_within_its_time_and_tells_no_crash(keep: Keep, tmp_path: Path) -> None:
    kept = keep({"ignore_term": True, "deaf": True, "worker": str(tmp_path / "worker")}, limits=Limits())
    kept.keeper.start()
    kept.until(State.READY)
    pid, worker = kept.pid(), int((tmp_path / "worker").read_text())
    kept.keeper.close(3.0)
    assert not alive(pid)
    assert not alive(worker)
    assert kept.keeper.server.state is State.STOPPED
    assert kept.problems() == []


def test_an_idle_server_is_restarted_when_another_version_was_installed(keep: Keep) -> None:
    kept = keep({"version": "1.0"}, {"version": "1.1"}, installed=lambda: "1.1")
    kept.keeper.start()
    wait_for(lambda: kept.keeper.server.version == "1.1" and kept.keeper.server.state is State.READY)
    assert kept.starts() == 2
    assert kept.problems() == []


def test_an_upgrade_waits_for_what_only_the_tray_knows_to_be_under_way(keep: Keep) -> None:
    kept = keep({"version": "1.0"}, {"version": "1.1"}, installed=lambda: "1.1")
    kept.keeper.occupied(True)
    kept.keeper.start()
    kept.until(State.READY)
    time.sleep(1)  # five probes
    assert (kept.starts(), kept.keeper.server.version) == (1, "1.0")
    kept.keeper.occupied(False)
    wait_for(lambda: kept.keeper.server.version == "1.1" and kept.keeper.server.state is State.READY)


@pytest.mark.parametrize("lines", [True, False], ids=["in lines", "without a line's end"])
def test_a_server_that_prints_a_lot_is_never_held_up_by_its_pipes(keep: Keep, lines: bool) -> None:
    kept = keep({"noise": 8_000_000, "lines": lines})
    kept.keeper.start()
    kept.until(State.READY)
    assert (kept.home.logs / "server.native.log").stat().st_size < 2_000_000


def test_a_log_folder_that_can_not_be_written_holds_up_nothing_and_is_told(keep: Keep) -> None:
    kept = keep({"noise": 2_000_000, "print": "the last line"})
    kept.home.logs.write_text("a file where the folder should be")
    kept.keeper.start()
    server = wait_for(lambda: kept.keeper.server if kept.keeper.server.problem and kept.keeper.server.state is State.READY else None)
    assert server.problem.code == "log_unwritable"
    kept.do("crash")
    wait_for(lambda: "crashed" in kept.problems())
    assert next(told.problem for told in kept.told if told.problem and told.problem.code == "crashed").values["detail"] == "the last words"


def test_its_methods_return_at_once_while_a_listener_is_slow(tray_home: Home, tmp_path: Path) -> None:
    kept = Kept(tray_home, tmp_path)
    kept.keeper._tell = lambda server: (kept.told.append(server), time.sleep(0.5))[0]
    for _ in range(20):
        kept.keeper.start()
        kept.keeper.stop()
        kept.keeper.restart()
    assert len(kept.told) < 3
    kept.keeper.close(3)
    time.sleep(1)
    assert ours(tray_home) == []


def test_a_listener_that_fails_does_not_end_the_keeping(tray_home: Home, tmp_path: Path) -> None:
    kept = Kept(tray_home, tmp_path)

    def fails(server: Server) -> None:
        kept.told.append(server)
        raise RuntimeError("a listener's mistake")

    kept.keeper._tell = fails
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    kept.do("crash")
    kept.another_than(first)
    kept.keeper.close()
    assert ours(tray_home) == []


def test_a_close_may_be_asked_for_twice_and_before_anything(tray_home: Home, tmp_path: Path) -> None:
    kept = Kept(tray_home, tmp_path)
    kept.keeper.close()
    kept.keeper.close()
    kept.keeper.start()
    time.sleep(0.3)
    assert kept.starts() == 0
