"""The keeper over a real small server that crashes, hangs, ignores signals, answers slowly, takes the port, fills its pipe."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.paths import Home
from app.core.server_record import announce, running
from tray.keeping import family
from tray.keeping.events import Limits
from tray.keeping.family import Family
from tray.keeping.keeper import Keeper
from tray.records import Server, State

PROGRAM = Path(__file__).with_name("keeper_server.py")
QUICK = Limits(
    probe=0.2, doubt=0.1, answer=0.6, start=4, start_cap=20, patience=2, busy_patience=20, stop=1, kill=0.7, bury=5,
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "내 문서" / "온돌 home"))
    return Home.find()


@pytest.fixture
def keep(home: Home, tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    made: list[Kept] = []

    def make(*starts: dict[str, Any], **given: Any) -> Kept:
        made.append(Kept(home, tmp_path, *starts, **given))
        return made[-1]

    yield make
    for kept in made:
        kept.keeper.close()
    wait_for(lambda: not ours(home))


def test_it_starts_is_ready_and_ends_by_the_end_of_its_input(keep: Callable[..., Kept]) -> None:
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


def test_a_crash_is_told_with_its_last_words_and_mended(keep: Callable[..., Kept]) -> None:
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


def test_a_server_that_crashes_at_every_start_fails_with_its_last_line_and_can_be_tried_again(keep: Callable[..., Kept]) -> None:
    broken = {"exit": 1, "print": "Traceback\nImportError: libcudart.so.12"}
    kept = keep(*[broken] * 6, {})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert (problem.code, problem.values["detail"]) == ("crash_loop", "ImportError: libcudart.so.12")
    assert kept.starts() == 6
    kept.keeper.start()
    kept.until(State.READY)


def test_wrong_settings_are_not_tried_again(keep: Callable[..., Kept]) -> None:
    kept = keep({"exit": 78, "error": {"message": "config.yaml:1: unknown key 'sever'", "code": "bad_setting"}})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert (problem.code, problem.values) == ("settings", {"detail": "config.yaml:1: unknown key 'sever'"})
    time.sleep(1)
    assert kept.starts() == 1


def test_a_hung_server_is_ended_with_its_workers_and_replaced(keep: Callable[..., Kept], tmp_path: Path) -> None:
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


def test_a_server_that_works_without_an_answer_is_given_time(keep: Callable[..., Kept]) -> None:
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    kept.do("work")
    kept.until(State.SUSPECT)
    time.sleep(3 * QUICK.patience)
    assert kept.keeper.server.state is State.SUSPECT
    kept.do("rest")
    kept.until(State.READY)
    assert kept.pid() == first


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_server_is_woken_and_goes_on(keep: Callable[..., Kept]) -> None:
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
    first = kept.pid()
    for _ in range(3):
        kept.do("stop")
        wait_for(lambda: psutil.Process(first).status() != psutil.STATUS_STOPPED)
        kept.until(State.READY)
    assert kept.pid() == first
    assert kept.starts() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_server_that_shall_end_is_woken_to_hear_it(keep: Callable[..., Kept]) -> None:
    kept = keep(limits=Limits())
    kept.keeper.start()
    kept.until(State.READY)
    pid = kept.pid()
    os.kill(pid, signal.SIGSTOP)
    kept.keeper.stop()
    kept.until(State.STOPPED)
    assert not alive(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_worker_of_a_killed_server_does_not_stay_behind(keep: Callable[..., Kept], tmp_path: Path) -> None:
    kept = keep({"worker": str(tmp_path / "worker")}, {})
    kept.keeper.start()
    kept.until(State.READY)
    first, worker = kept.pid(), int((tmp_path / "worker").read_text())
    os.kill(worker, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    kept.another_than(first)
    assert not alive(worker)


def test_who_ignores_the_end_of_its_input_and_sigterm_is_killed(keep: Callable[..., Kept]) -> None:
    kept = keep({"ignore_term": True, "deaf": True})
    kept.keeper.start()
    kept.until(State.READY)
    pid = kept.pid()
    kept.keeper.stop()
    kept.until(State.STOPPED)
    assert not alive(pid)


def test_a_close_ends_whoever_ignores_everything_within_its_time_and_tells_no_crash(keep: Callable[..., Kept], tmp_path: Path) -> None:
    kept = keep({"ignore_term": True, "deaf": True, "worker": str(tmp_path / "worker")}, limits=Limits())
    kept.keeper.start()
    kept.until(State.READY)
    pid, worker = kept.pid(), int((tmp_path / "worker").read_text())
    kept.keeper.close(3.0)
    assert not alive(pid)
    assert not alive(worker)
    assert kept.keeper.server.state is State.STOPPED
    assert kept.problems() == []


def test_a_server_that_answers_slowly_is_ready_all_the_same(keep: Callable[..., Kept]) -> None:
    kept = keep({"slow": 0.4})
    kept.keeper.start()
    kept.until(State.READY)
    time.sleep(2)
    assert State.SUSPECT not in kept.seen()


def test_one_that_lives_but_does_not_serve_stays_a_start_that_goes_on(keep: Callable[..., Kept]) -> None:
    kept = keep({"unready": True}, limits=Limits(doubt=0.1, start=1))
    kept.keeper.start()
    time.sleep(3)
    assert kept.keeper.server.state is State.STARTING
    assert kept.starts() == 1


def test_an_answer_that_drips_for_ever_is_no_answer(keep: Callable[..., Kept]) -> None:
    kept = keep({"drip": True, "ignore_term": True}, {})
    kept.keeper.start()
    kept.until(State.BACKOFF)
    kept.until(State.READY)
    assert kept.problems()[0] == "slow_start"


def test_a_migration_that_reports_is_waited_for_and_shown(keep: Callable[..., Kept]) -> None:
    kept = keep({"progress": 20}, limits=Limits(start=1.5, doubt=0.2))
    kept.keeper.start()
    kept.until(State.READY)
    assert {"migrating 0", "migrating 19"} <= {server.progress for server in kept.told}
    assert kept.starts() == 1


def test_a_start_that_says_nothing_and_does_nothing_is_ended_and_tried_again(keep: Callable[..., Kept]) -> None:
    kept = keep(
        {"never_listens": True}, {}, limits=Limits(**{name: getattr(QUICK, name) for name in ("doubt", "backoff", "kill")}, start=1)
    )
    kept.keeper.start()
    kept.until(State.READY)
    assert kept.problems() == ["slow_start", "slow_start"]
    assert kept.starts() == 2


@pytest.mark.parametrize("lines", [True, False], ids=["in lines", "without a line's end"])
def test_a_server_that_prints_a_lot_is_never_held_up_by_its_pipes(keep: Callable[..., Kept], lines: bool) -> None:
    kept = keep({"noise": 8_000_000, "lines": lines})
    kept.keeper.start()
    kept.until(State.READY)
    assert (kept.home.logs / "server.native.log").stat().st_size < 2_000_000


def test_a_log_folder_that_can_not_be_written_holds_up_nothing_and_is_told(keep: Callable[..., Kept]) -> None:
    kept = keep({"noise": 2_000_000, "print": "the last line"})
    kept.home.logs.write_text("a file where the folder should be")
    kept.keeper.start()
    server = wait_for(lambda: kept.keeper.server if kept.keeper.server.problem and kept.keeper.server.state is State.READY else None)
    assert server.problem.code == "log_unwritable"
    kept.do("crash")
    wait_for(lambda: "crashed" in kept.problems())
    assert next(told.problem for told in kept.told if told.problem and told.problem.code == "crashed").values["detail"] == "the last words"


def test_a_full_disk_is_waited_out(keep: Callable[..., Kept]) -> None:
    kept = keep(*[{"exit": 1, "print": "OSError: [Errno 28] No space left on device"}] * 8, {})
    kept.keeper.start()
    kept.until(State.READY)
    assert set(kept.problems()) == {"disk_full"}


def test_a_port_of_another_program_is_left_to_it_named_and_the_next_one_taken(keep: Callable[..., Kept]) -> None:
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


def test_a_port_that_was_chosen_by_hand_is_not_changed(keep: Callable[..., Kept]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        kept = keep({"port": port})
        kept.keeper.start()
        problem = kept.until(State.FAILED).problem
        assert problem is not None
        assert (problem.code, problem.values["port"]) == ("port_taken", str(port))


def test_a_server_of_somebody_else_is_adopted_left_alone_and_replaced_when_it_ends(keep: Callable[..., Kept], tmp_path: Path) -> None:
    kept = keep()
    other = subprocess.Popen(kept.line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: running(kept.home))
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        assert kept.pid() == other.pid
        time.sleep(1)
        assert kept.keeper.server.state is State.EXTERNAL
    finally:
        other.kill()
        other.wait()
    kept.until(State.READY)
    assert kept.pid() != other.pid


def test_a_close_leaves_somebody_elses_server_running(keep: Callable[..., Kept]) -> None:
    kept = keep()
    other = subprocess.Popen(kept.line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: running(kept.home))
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        kept.keeper.close()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_person_may_stop_somebody_elses_server(keep: Callable[..., Kept]) -> None:
    kept = keep({"ignore_term": True})
    other = subprocess.Popen(kept.line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: running(kept.home))
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        kept.keeper.stop()
        other.wait(20)
        kept.until(State.STOPPED)
    finally:
        other.kill()
        other.wait()


def test_a_record_of_a_process_that_has_ended_is_nobody(keep: Callable[..., Kept]) -> None:
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


def test_the_server_of_a_killed_tray_ends_by_itself(keep: Callable[..., Kept]) -> None:
    kept = keep()
    with other_tray(kept) as tray:
        pid = kept.pid()
        tray.kill()
        wait_for(lambda: not alive(pid))


@pytest.mark.parametrize("step", [{}, {"deaf": True, "ignore_term": True}], ids=["that hears", "that ignores everything"])
def test_a_stopped_server_of_a_killed_tray_is_ended_by_the_next_tray(
    keep: Callable[..., Kept], step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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


def test_the_server_of_a_tray_that_lives_is_adopted_and_not_cleared_away(keep: Callable[..., Kept]) -> None:
    kept = keep()
    with other_tray(kept):
        pid = kept.pid()
        kept.keeper.start()
        kept.until(State.EXTERNAL)
        kept.keeper.close()
        assert kept.pid() == pid


def test_a_program_that_has_moved_fails_with_its_name(keep: Callable[..., Kept], tmp_path: Path) -> None:
    kept = keep(line=[str(tmp_path / "moved" / "python"), "x"])
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert problem.code == "cannot_start"
    assert "moved" in problem.values["detail"]


def test_an_idle_server_is_restarted_when_another_version_was_installed(keep: Callable[..., Kept]) -> None:
    kept = keep({"version": "1.0"}, {"version": "1.1"}, installed=lambda: "1.1")
    kept.keeper.start()
    wait_for(lambda: kept.keeper.server.version == "1.1" and kept.keeper.server.state is State.READY)
    assert kept.starts() == 2
    assert kept.problems() == []


def test_an_upgrade_waits_for_what_only_the_tray_knows_to_be_under_way(keep: Callable[..., Kept]) -> None:
    kept = keep({"version": "1.0"}, {"version": "1.1"}, installed=lambda: "1.1")
    kept.keeper.occupied(True)
    kept.keeper.start()
    kept.until(State.READY)
    time.sleep(1)  # five probes
    assert (kept.starts(), kept.keeper.server.version) == (1, "1.0")
    kept.keeper.occupied(False)
    wait_for(lambda: kept.keeper.server.version == "1.1" and kept.keeper.server.state is State.READY)


def test_data_of_a_newer_ondol_are_said_to_be_so_and_not_tried_again(keep: Callable[..., Kept]) -> None:
    kept = keep({"exit": 75, "error": {"message": "state.db was written by a newer Ondol.", "code": "newer_data"}})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert problem.code == "newer_data"
    assert kept.starts() == 1


def test_proxies_of_the_environment_are_not_asked(keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)


def test_its_methods_return_at_once_while_a_listener_is_slow(home: Home, tmp_path: Path) -> None:
    kept = Kept(home, tmp_path)
    kept.keeper._tell = lambda server: (kept.told.append(server), time.sleep(0.5))[0]
    for _ in range(20):
        kept.keeper.start()
        kept.keeper.stop()
        kept.keeper.restart()
    assert len(kept.told) < 3
    kept.keeper.close(3)
    time.sleep(1)
    assert ours(home) == []


def test_a_listener_that_fails_does_not_end_the_keeping(home: Home, tmp_path: Path) -> None:
    kept = Kept(home, tmp_path)

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
    assert ours(home) == []


def test_a_close_may_be_asked_for_twice_and_before_anything(home: Home, tmp_path: Path) -> None:
    kept = Kept(home, tmp_path)
    kept.keeper.close()
    kept.keeper.close()
    kept.keeper.start()
    time.sleep(0.3)
    assert kept.starts() == 0
