"""Which changes are worth a notification."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tray.records import ChatPage, Download, Notice, Problem, Server, Snapshot, State, Sync
from tray.watching.notices import Notices


def history(*states: State, first_run: bool = False) -> list[str]:
    """The codes that a server's life brings."""
    notices, before, told = Notices(first_run=first_run), Snapshot(), []
    for state in states:
        after = replace(before, server=Server(state, "http://127.0.0.1:11500"))
        told += [notice.code for notice in notices.of(before, after)]
        before = after
    return told


def between(before: Snapshot, after: Snapshot) -> list[Notice]:
    return Notices().of(before, after)


def test_the_first_start_ever_tells_that_it_is_ready_and_later_ones_do_not() -> None:
    life = (State.STARTING, State.READY, State.STOPPING, State.STOPPED, State.STARTING, State.READY)
    assert history(*life, first_run=True) == ["ready_first"]
    assert history(*life) == []


def test_a_server_that_crashed_and_came_back_is_told_once_however_often_it_happens() -> None:
    crash = (State.BACKOFF, State.STARTING, State.READY)
    assert history(State.STARTING, State.READY, *crash, *crash, *crash) == ["recovered"]


def test_a_hang_that_ended_in_a_new_start_counts_as_a_crash_and_one_that_passed_does_not() -> None:
    assert history(State.STARTING, State.READY, State.SUSPECT, State.BACKOFF, State.STARTING, State.READY) == ["recovered"]
    assert history(State.STARTING, State.READY, State.SUSPECT, State.READY) == []


@pytest.mark.parametrize(
    "life",
    [
        (State.STARTING, State.BACKOFF, State.STARTING, State.READY),
        (State.STARTING, State.READY, State.STOPPING, State.STARTING, State.READY),
        (State.STARTING, State.READY, State.BACKOFF, State.STOPPED, State.STARTING, State.READY),
        (State.EXTERNAL, State.STARTING, State.READY),
    ],
    ids=["a bad first start", "a restart", "stopped after a crash", "another's server that ended"],
)
def test_what_was_asked_for_or_never_worked_is_not_told_as_recovered(life: tuple[State, ...]) -> None:
    assert history(*life) == []


def test_a_server_that_is_given_up_is_told_with_its_problem() -> None:
    before = Snapshot(server=Server(State.STARTING))
    after = Snapshot(server=Server(State.FAILED, problem=Problem("port_taken", {"port": "11500", "program": "nginx"})))
    assert between(before, after) == [Notice("failed", {"code": "port_taken", "port": "11500", "program": "nginx"})]


def test_a_download_is_told_when_it_has_become_a_model_and_not_when_it_was_cancelled() -> None:
    before = Snapshot(downloads=(Download("maker/Tiny:Q4", "Tiny:Q4", 5, 9),))
    assert between(before, Snapshot(finished=("maker/Tiny:Q4",))) == [Notice("download_finished", {"name": "Tiny:Q4"})]
    assert between(before, Snapshot()) == []


def test_the_same_model_downloaded_twice_is_told_twice() -> None:
    before = Snapshot(finished=("tiny",))
    assert [notice.code for notice in between(before, Snapshot(finished=("tiny", "tiny")))] == ["download_finished"]


def test_a_download_that_fails_is_told_once_with_why_and_an_old_failure_is_not() -> None:
    running = Snapshot(downloads=(Download("tiny", "tiny", 5, 9),))
    failed = Snapshot(downloads=(Download("tiny", "tiny", 5, 9, "failed", "The disk is full."),))
    assert between(running, failed) == [Notice("download_failed", {"name": "tiny", "message": "The disk is full."})]
    assert between(failed, failed) == []
    assert between(Snapshot(), failed) == []


def test_a_paused_download_calls_nobody() -> None:
    running = Snapshot(downloads=(Download("tiny", "tiny", 5, 9),))
    assert between(running, Snapshot(downloads=(Download("tiny", "tiny", 5, 9, "paused"),))) == []


def test_a_sync_that_failed_is_told_at_its_end_whoever_ran_it() -> None:
    running = Snapshot(sync=Sync(running=True, last=100.0))
    failed = Snapshot(sync=Sync(last=200.0, error="shop: no answer"))
    assert between(running, failed) == [Notice("sync_failed", {"message": "shop: no answer"})]
    assert [notice.code for notice in between(Snapshot(sync=Sync(last=100.0)), failed)] == ["sync_failed"]


def test_the_same_failure_again_and_the_failure_found_at_the_start_are_not_told() -> None:
    notices = Notices()
    failed = Snapshot(sync=Sync(last=100.0, error="a.pdf: no text"))
    assert notices.of(Snapshot(), failed) == []
    again = Snapshot(sync=Sync(running=True, last=100.0, error="a.pdf: no text"))
    assert notices.of(failed, again) == []
    assert notices.of(again, Snapshot(sync=Sync(last=200.0, error="a.pdf: no text"))) == []


def test_a_failure_that_comes_back_after_a_good_run_is_told_again() -> None:
    notices, codes = Notices(), []
    runs = [Sync(last=1.0), *(Sync(last=float(at), error=error) for at, error in ((2, "x"), (3, ""), (4, "x")))]
    for was, now in itertools.pairwise(runs):
        codes += [notice.code for notice in notices.of(Snapshot(sync=was), Snapshot(sync=now))]
    assert codes == ["sync_failed", "sync_failed"]


def test_a_chat_page_that_does_not_start_says_why_at_each_click() -> None:
    asked = Snapshot(chat=ChatPage("starting"))
    assert between(asked, Snapshot(chat=ChatPage("failed", error="x"))) == [Notice("chat_failed", {"message": "x"})]
    assert between(asked, Snapshot(chat=ChatPage("ready"))) == []


def test_nothing_that_stays_as_it_is_is_told() -> None:
    for state in State:
        same = Snapshot(
            server=Server(state), chat=ChatPage("failed"), sync=Sync(error="x"), downloads=(Download("a", "a", state="failed"),)
        )
        assert between(same, same) == []
