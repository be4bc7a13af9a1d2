"""The keeper beside others: programs on its port, servers that somebody else started, trays that were killed or live."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kept_server import Keep, Kept, alive, wait_for

from app.core.server_record import announce, running
from tray.records import State


def test_a_port_of_another_program_is_left_to_it_named_and_the_next_one_taken(keep: Keep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        kept = keep({"port": port}, default_port=port)
        kept.keeper.start()
        server = kept.until(State.READY)
        assert server.problem is not None
        assert server.problem.code == "other_port"
        assert server.problem.values["program"] == psutil.Process().name()
        assert int(server.address.rpartition(":")[2]) == int(server.problem.values["port"]) > port
        assert other.fileno() != -1


def test_a_port_that_was_chosen_by_hand_is_not_changed(keep: Keep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        kept = keep({"port": port})
        kept.keeper.start()
        problem = kept.until(State.FAILED).problem
        assert problem is not None
        assert (problem.code, problem.values["port"]) == ("port_taken", str(port))


@contextlib.contextmanager
def somebody_elses(kept: Kept) -> Iterator[subprocess.Popen[bytes]]:
    """A server that the keeper did not start, and that it has found."""
    other = subprocess.Popen(kept.line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: running(kept.home))
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        yield other
    finally:
        other.kill()
        other.wait()


def test_a_server_of_somebody_else_is_adopted_left_alone_and_replaced_when_it_ends(keep: Keep, tmp_path: Path) -> None:
    kept = keep()
    with somebody_elses(kept) as other:
        assert kept.pid() == other.pid
        time.sleep(1)
        assert kept.keeper.server.state is State.EXTERNAL
    kept.until(State.READY)
    assert kept.pid() != other.pid


def test_a_close_leaves_somebody_elses_server_running(keep: Keep) -> None:
    kept = keep()
    with somebody_elses(kept) as other:
        kept.keeper.close()
        assert other.poll() is None


def test_a_person_may_stop_somebody_elses_server(keep: Keep) -> None:
    kept = keep({"ignore_term": True})
    with somebody_elses(kept) as other:
        kept.keeper.stop()
        other.wait(20)
        kept.until(State.STOPPED)


def test_a_record_of_a_process_that_has_ended_is_nobody(keep: Keep) -> None:
    kept = keep()
    record = announce(kept.home, host="127.0.0.1", port=1, version="0")
    stale = {"pid": record.pid, "born": record.born + 100, "host": "127.0.0.1", "port": 1, "token": "x", "version": "0"}
    kept.home.server.write_text(json.dumps(stale), encoding="utf-8")  # our own pid, as if it had been given to us since
    kept.keeper.start()
    kept.until(State.READY)
    assert kept.pid() != os.getpid()
    assert alive(os.getpid())


TRAY = """
import json, sys, time
from pathlib import Path
from app.core.paths import Home
from tray.keeping.keeper import Keeper
keeper = Keeper(Home(Path(sys.argv[1])), lambda server: print(server.state, flush=True), line=json.loads(sys.argv[2]))
keeper.start()
time.sleep(3600)
"""


@contextlib.contextmanager
def other_tray(kept: Kept) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-c", TRAY, str(kept.home.root), json.dumps(kept.line)]
    tray = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert tray.stdout is not None
    try:
        while tray.stdout.readline().strip() != "ready":
            pass
        yield tray
    finally:
        tray.kill()
        tray.communicate()


def test_the_server_of_a_killed_tray_ends_by_itself(keep: Keep) -> None:
    kept = keep()
    with other_tray(kept) as tray:
        pid = kept.pid()
        tray.kill()
        wait_for(lambda: not alive(pid))


@pytest.mark.parametrize("step", [{}, {"deaf": True, "ignore_term": True}], ids=["that hears", "that ignores everything"])
def test_a_stopped_server_of_a_killed_tray_is_ended_by_the_next_tray(
    keep: Keep, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tray.keeping.keeper.OWN_END", 1.0)
    kept = keep({**step, "worker": str(tmp_path / "worker")}, {})
    with other_tray(kept) as tray:
        pid, worker = kept.pid(), int((tmp_path / "worker").read_text())
        os.kill(pid, signal.SIGSTOP)
        tray.kill()
        tray.wait()
        kept.keeper.start()
        kept.until(State.READY)
        assert not alive(pid)
        assert not alive(worker)
        assert kept.pid() != pid


def test_the_server_of_a_tray_that_lives_is_adopted_and_not_cleared_away(keep: Keep) -> None:
    kept = keep()
    with other_tray(kept):
        pid = kept.pid()
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        kept.keeper.close()
        assert kept.pid() == pid
