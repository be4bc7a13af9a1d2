"""Histories of a server that runs: silence, crashes, sleep, other servers, upgrades."""

from __future__ import annotations

import pytest
from supervised import ADDRESS, CRASH, ORDERED, READY, SILENT, World

from tray.keeping import events as e
from tray.records import ActionKind, State

FOREIGN = e.Found(0, "http://127.0.0.1:9999", "theirs", "1.0")


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


@pytest.mark.parametrize("counted", [False, True], ids=["its clock stood still", "its clock went on"])
def test_a_night_of_sleep_fails_nobody(counted: bool) -> None:
    world = World().ready()
    world.health = SILENT
    world.wait(15)
    assert world.state is State.SUSPECT
    world.sleep(8 * 3600, counted=counted)
    world.wait(10)
    assert world.signals == []
    world.health = READY
    world.wait(10)
    assert world.state is State.READY


def test_a_probe_that_was_under_way_when_the_machine_slept_says_nothing() -> None:
    world = World().ready()
    world.health = None
    world.wait(5)
    asked = world.of(e.Probe)[-1]
    world.sleep(3600)
    for _ in range(5):
        world.feed(e.Answered(asked.run, asked.number, SILENT))
    assert world.state is State.READY
    assert world.of(e.Probe)[-1].number > asked.number


def test_a_start_that_was_slept_through_has_its_time_again() -> None:
    world = World().ask("start").wait(50).sleep(3600, counted=True).wait(50)
    assert world.state is State.STARTING
    assert world.listens().wait(1).state is State.READY


def test_a_stop_that_was_slept_through_still_has_a_moment_before_it_is_forced() -> None:
    world = World().ready()
    world.obeys = set()
    world.ask("stop").wait(1).sleep(3600, counted=True)
    assert world.signals == ["close_input", "resume"]
    world.wait(2.1)
    assert world.signals == ["close_input", "resume", "terminate"]


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0, -30.0, 30.0])
def test_a_clock_that_is_set_fails_nobody(jump: float) -> None:
    world = World().ready()
    for _ in range(20):
        world.wall += jump
        world.wait(20)
    assert world.seen == [State.STOPPED, State.STARTING, State.READY]
    assert world.signals == []


def test_a_server_that_runs_is_adopted_and_its_health_asked_for() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(10)
    assert world.state is State.EXTERNAL
    assert world.supervisor.server.address == FOREIGN.address
    assert {probe.token for probe in world.of(e.Probe)} == {"theirs"}
    assert world.of(e.Spawn) == []


def test_an_adopted_server_that_is_silent_is_suspect_and_never_ended_by_us() -> None:
    world = World()
    world.found, world.health = FOREIGN, SILENT
    world.ask("start").wait(3600)
    assert (world.state, world.problem) == (State.SUSPECT, "external_silent")
    assert world.signals == []
    problem = world.supervisor.server.problem
    assert problem is not None
    assert problem.remedy is not None
    assert problem.remedy.kind is ActionKind.RESTART_SERVER
    world.health = READY
    assert world.wait(5).state is State.EXTERNAL


def test_an_adopted_server_that_stands_still_is_left_to_its_owner() -> None:
    world = World()
    world.found, world.health = FOREIGN, e.Health("silent", stopped=True)
    world.ask("start").wait(60)
    assert world.signals == []


def test_when_an_adopted_server_ends_ours_takes_its_place() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(10)
    world.found = None
    world.feed(e.Ended(world.run, ORDERED)).wait(2).listens().wait(1)
    assert world.state is State.READY


def test_an_adopted_server_that_nobody_asked_for_leaves_stopped_behind() -> None:
    world = World().ready().ask("stop").wait(2)
    world.found = FOREIGN
    world.wait(6)
    assert world.state is State.EXTERNAL
    world.found = None
    world.feed(e.Ended(world.run, ORDERED)).wait(60)
    assert world.state is State.STOPPED
    assert len(world.of(e.Spawn)) == 1


def test_a_server_that_appears_after_a_failure_is_adopted() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("settings", "line 3"))
    world.found = FOREIGN
    assert world.wait(6).state is State.EXTERNAL
    assert world.problem == ""


def test_an_idle_server_is_restarted_in_order_when_another_version_lies_on_the_disk() -> None:
    world = World().ready().feed(e.Installed("1.1"))
    world.wait(20)
    assert world.seen[2:] == [State.READY, State.STOPPING, State.STARTING]
    assert world.signals == ["close_input", "resume"]
    world.health = e.Health("ready", version="1.1")
    world.listens().wait(60)
    assert (world.state, world.supervisor.server.version) == (State.READY, "1.1")


def test_an_upgrade_waits_until_nobody_is_being_answered() -> None:
    world = World().ready().feed(e.Installed("1.1"))
    world.health = e.Health("ready", version="1.0", busy=1)
    world.wait(600)
    assert (world.state, world.signals) == (State.READY, [])
    world.health = READY
    world.wait(15)
    assert world.signals == ["close_input", "resume"]


def test_an_upgrade_waits_for_a_download_or_a_sync_that_no_probe_tells_of() -> None:
    world = World().ready().feed(e.Occupied(True)).feed(e.Installed("1.1")).wait(600)
    assert (world.state, world.signals) == (State.READY, [])
    world.feed(e.Occupied(False)).wait(15)
    assert world.signals == ["close_input", "resume"]


def test_what_is_under_way_keeps_no_person_from_a_restart() -> None:
    world = World().ready().feed(e.Occupied(True)).ask("restart").wait(5)
    assert world.signals == ["close_input", "resume"]


def test_an_upgrade_that_did_not_change_the_version_that_runs_is_tried_once() -> None:
    world = World().ready().feed(e.Installed("1.1")).wait(20).listens().wait(600)
    assert world.state is State.READY
    assert len(world.of(e.Spawn)) == 2


def test_an_adopted_server_is_not_upgraded_by_us() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(5).feed(e.Installed("1.1")).wait(600)
    assert (world.state, world.signals) == (State.EXTERNAL, [])


def test_it_is_probed_for_a_day_without_a_change() -> None:
    world = World().ready().wait(86_400)
    assert world.seen == [State.STOPPED, State.STARTING, State.READY]
    assert len(world.of(e.Probe)) > 10_000
    assert world.supervisor.server.address == ADDRESS
