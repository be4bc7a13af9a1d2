"""Histories of a server that runs: silence and crashes."""

from __future__ import annotations

import pytest
from supervised import ADDRESS, CRASH, ORDERED, READY, SILENT, World

from tray.keeping import events as e
from tray.records import ActionKind, State


def test_one_lost_answer_is_chance() -> None:
    world = World().ready()
    world.health = SILENT
    world.wait(5)
    world.health = READY
    world.wait(20)
    assert State.SUSPECT not in world.seen


def test_two_silent_probes_make_it_suspect_and_an_answer_makes_it_ready_again_without_a_signal() -> None:
    world = World().ready()
    world.health = SILENT
    world.wait(8)
    assert (world.state, world.problem) == (State.SUSPECT, "hung")
    world.health = READY
    world.wait(3)
    assert (world.state, world.problem) == (State.READY, "")
    assert world.signals == []
    assert len(world.of(e.Spawn)) == 1


def test_a_hung_server_is_asked_to_end_then_killed_and_started_again() -> None:
    world = World().ready()
    world.health, world.obeys = SILENT, {"kill"}
    world.wait(40)
    assert world.signals[:4] == ["close_input", "resume", "terminate", "kill"]
    assert world.when("kill") == 3.0
    world.health = READY
    world.listens().wait(1)
    assert world.seen[2:] == [State.READY, State.SUSPECT, State.STOPPING, State.BACKOFF, State.STARTING, State.READY]


def test_silence_is_borne_for_at_least_twenty_seconds_and_four_probes() -> None:
    world = World().ready()
    world.health, world.takes = SILENT, 0.0
    world.wait(19)
    assert world.signals == []
    world.wait(15)
    assert "terminate" in world.signals
    world = World().ready()
    world.health = None  # not even a probe comes back
    world.wait(25)
    assert world.signals == []


def test_a_probe_that_never_comes_back_counts_as_silent() -> None:
    world = World().ready()
    world.health = None
    world.wait(60)
    assert "terminate" in world.signals


def test_an_event_loop_that_is_busy_for_a_minute_is_no_hang() -> None:
    world = World().ready()
    world.health, world.works, world.takes = SILENT, 1.0, 6.0
    world.wait(70)
    assert world.state is State.SUSPECT
    world.health, world.takes = READY, 0.1
    world.wait(10)
    assert world.state is State.READY
    assert world.signals == []


def test_a_server_that_works_and_never_answers_again_is_ended_in_the_end() -> None:
    world = World().ready()
    world.health, world.works, world.takes = SILENT, 1.0, 6.0
    world.wait(150)
    assert "terminate" in world.signals


def test_one_that_lives_but_does_not_serve_is_suspect_and_left_alone() -> None:
    world = World().ready()
    world.health = e.Health("live", cpu=1.0)
    world.wait(3600)
    assert world.state is State.SUSPECT
    assert world.signals == []
    world.health = READY
    assert world.wait(5).state is State.READY


def test_one_that_stands_still_is_woken_and_goes_on_in_its_place() -> None:
    world = World().ready()
    world.health, world.takes = e.Health("silent", cpu=1.0, stopped=True), 6.0
    world.wait(12)
    assert world.signals == ["resume"]
    world.health, world.takes = READY, 0.1
    world.wait(10)
    assert world.state is State.READY
    assert len(world.of(e.Spawn)) == 1


def test_a_worker_that_stands_still_is_woken_though_the_server_answers() -> None:
    world = World().ready()
    world.health = e.Health("ready", version="1.0", stopped=True)
    world.wait(5)
    assert world.signals == ["resume"]
    assert world.state is State.READY


def test_a_crash_is_told_with_its_last_words_cleared_up_and_mended() -> None:
    world = World().ready()
    world.ends(CRASH)
    assert (world.state, world.problem, world.values) == (State.BACKOFF, "crashed", {"detail": "Segmentation fault"})
    assert isinstance(world.decided[-1][1], e.Clear)
    world.wait(1.5).listens().wait(1)
    assert (world.state, world.problem) == (State.READY, "")


@pytest.mark.parametrize(("chance", "shares"), [(0.0, 0.8), (1.0, 1.2)])
def test_crash_after_crash_is_waited_for_longer_with_jitter(chance: float, shares: float) -> None:
    world = World(chance=chance, limits=e.Limits(crashes=20, backoff_cap=10)).ready()
    waits = []
    for _ in range(6):
        began = world.mono
        world.ends()
        due = world.supervisor.due
        assert due is not None
        waits.append(round(due - began, 3))
        world.wait(20)
        assert world.state is State.STARTING
    assert waits == pytest.approx([shares * seconds for seconds in (1, 2, 4, 8, 10, 10)])


def test_too_many_crashes_fail_with_the_last_words_and_a_way_to_try_again() -> None:
    world = World().ready()
    for _ in range(5):
        world.ends().wait(18)
        assert world.state is State.STARTING
    world.ends(e.Ending("crash", "out of memory"))
    assert (world.state, world.problem, world.values) == (State.FAILED, "crash_loop", {"times": "6", "detail": "out of memory"})
    problem = world.supervisor.server.problem
    assert problem is not None
    assert problem.remedy is not None
    assert problem.remedy.kind is ActionKind.START_SERVER
    spawned = len(world.of(e.Spawn))
    assert len(world.wait(3600).of(e.Spawn)) == spawned
    assert world.ready().state is State.READY


def test_crashes_are_forgotten_after_a_good_while() -> None:
    world = World().ready()
    for _ in range(30):
        world.ends().wait(3).listens().wait(400)
        assert world.state is State.READY


def test_crashes_without_a_good_while_between_them_are_not_forgotten() -> None:
    world = World().ready()
    for _ in range(5):
        world.ends().wait(20).listens().wait(60)
    assert world.ends().state is State.FAILED


def test_a_server_that_hangs_again_and_again_fails_too() -> None:
    world = World().ready()
    world.health = SILENT
    for _ in range(8):
        world.wait(60)
        if world.state is State.FAILED:
            break
        if world.lives and world.state is State.STARTING:
            world.health = READY
            world.listens().wait(1)
            world.health = SILENT
    assert (world.state, world.problem) == (State.FAILED, "hung")


def test_one_that_somebody_else_ended_in_order_did_not_crash_and_is_started_again() -> None:
    world = World().ready().ends(ORDERED)
    assert (world.state, world.problem) == (State.BACKOFF, "ended")
    world.wait(2).listens().wait(1)
    assert world.state is State.READY


def test_it_is_probed_for_a_day_without_a_change() -> None:
    world = World().ready().wait(86_400)
    assert world.seen == [State.STOPPED, State.STARTING, State.READY]
    assert len(world.of(e.Probe)) > 10_000
    assert world.supervisor.server.address == ADDRESS
