"""How `ondol open-webui` ends: asked to, killed, or because its page crashes, is silent or will not end."""

from __future__ import annotations

import json
import signal
import sys
import time

import psutil
import pytest
from page_run import Start, free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line")


def gone(pid: int) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_ctrl_c_is_an_ordinary_end(start_page: Start) -> None:
    run = start_page()
    run.until("ready")
    assert run.end(signal.SIGINT) == 0
    assert [event["event"] for event in run.events][-1] == "stopping"


def test_closing_its_standard_input_ends_it_for_those_who_have_no_signals(start_page: Start) -> None:
    run = start_page("--until-stdin-closes")
    run.until("ready")
    assert run.process.stdin is not None
    run.process.stdin.close()
    assert run.process.wait(60) == 0


def test_one_whose_keeper_was_killed_is_ended_and_begun_again(start_page: Start) -> None:
    port = free_port()
    first = start_page(port=port)
    first.until("ready")
    left = json.loads((first.home / "open-webui" / "running.json").read_text(encoding="utf-8"))["pid"]
    first.process.kill()
    first.process.wait()
    assert psutil.pid_exists(left)
    second = start_page(port=port)
    second.until("ready")
    assert second.events[0] == {"event": "leftover", "pid": left}
    assert gone(left)


def test_one_that_will_not_end_is_ended_with_all_that_it_started(start_page: Start) -> None:
    run = start_page(PAGE_MOOD="stubborn")
    run.until("ready")
    child = int((run.home / "open-webui" / "data" / "child.pid").read_text(encoding="utf-8"))
    assert run.end() == 0
    assert gone(child)


def test_one_that_ends_by_itself_is_told_with_its_last_words(start_page: Start) -> None:
    run = start_page(PAGE_MOOD="crash")
    told = run.until("error")["error"]
    assert "status 3" in told["message"]
    assert "the last thing that it said" in told["message"]
    assert run.process.wait(30) == 69


def test_one_that_does_not_answer_in_time_is_told_and_ended(start_page: Start) -> None:
    run = start_page("--wait", "2", PAGE_MOOD="silent")
    told = run.until("error")["error"]
    assert told["code"] == "deadline_exceeded"
    assert "alembic" in told["message"]
    assert run.process.wait(30) == 75
    assert not (run.home / "open-webui" / "running.json").exists()
