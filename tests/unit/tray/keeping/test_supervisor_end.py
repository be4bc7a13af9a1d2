"""Histories of an end that somebody wants: stop, restart, quit, logout; whoever obeys, and who doesn't."""

from __future__ import annotations

import random

import pytest
from supervised import CRASH, ORDERED, READY, SILENT, World

from tray.keeping import events as e
from tray.records import State

FOREIGN = e.Found(0, "http://127.0.0.1:9999", "theirs", "1.0")


def test_a_stop_closes_the_input_and_wakes_who_stands_still_and_no_more_is_needed() -> None:
    world = World().ready().ask("stop")
    assert (world.state, world.signals) == (State.STOPPING, ["close_input", "resume"])
    world.wait(60)
    assert (world.state, world.problem, world.signals) == (State.STOPPED, "", ["close_input", "resume"])
    assert len(world.of(e.Spawn)) == 1


def test_who_does_not_hear_the_end_of_its_input_is_told_by_a_signal_and_who_ignores_it_is_killed() -> None:
    world = World().ready()
    world.obeys = {"kill"}
    world.ask("stop").wait(20)
    assert world.signals == ["close_input", "resume", "terminate", "kill"]
    assert (world.when("terminate"), world.when("kill")) == (6.0, 9.0)
    assert world.state is State.STOPPED


def test_what_even_a_kill_does_not_end_is_told() -> None:
    world = World().ready()
    world.obeys = set()
    world.ask("stop").wait(60)
    assert (world.state, world.problem, world.values) == (State.FAILED, "still_running", {"pid": "4711"})


def test_a_crash_while_it_ends_is_no_crash() -> None:
    world = World().ready()
    world.obeys = set()
    world.ask("stop").wait(1).ends(CRASH)
    assert (world.state, world.problem) == (State.STOPPED, "")


def test_a_logout_has_ended_everything_within_its_five_seconds_also_who_ignores_signals() -> None:
    world = World().ready()
    world.obeys = {"kill"}
    world.ask("close", 5.0).wait(5.0)
    assert world.when("kill") < 4.5
    assert world.of(e.Closed) == [e.Closed()]
    assert State.BACKOFF not in world.seen
    assert State.FAILED not in world.seen


def test_a_logout_that_ends_the_server_a_moment_before_the_tray_shows_no_crash() -> None:
    world = World().ready().ends(ORDERED).wait(0.2).ask("close")
    assert world.of(e.Closed) == [e.Closed()]
    assert (world.state, world.problem) == (State.STOPPED, "")
    assert State.FAILED not in world.seen


@pytest.mark.parametrize("state", ["stopped", "looking", "backoff", "failed", "port"])
def test_a_close_where_nothing_runs_is_done_at_once(state: str) -> None:
    world = World()
    if state != "stopped":
        world.ask("start")
    if state in ("backoff", "failed", "port"):
        ending = {"backoff": CRASH, "failed": e.Ending("settings"), "port": e.Ending("port", port=1)}[state]
        world.wait(1).ends(ending)
    world.ask("close")
    assert world.of(e.Closed) == [e.Closed()]
    world.wait(60)
    assert world.state is State.STOPPED
    assert len(world.of(e.Closed)) == 1
    assert not world.lives


def test_a_close_leaves_an_adopted_server_alone() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(5).ask("close")
    assert world.of(e.Closed) == [e.Closed()]
    assert world.signals == []


def test_a_close_while_it_already_stops_shortens_the_patience() -> None:
    world = World().ready()
    world.obeys = {"kill"}
    world.ask("stop").wait(1).ask("close", 4.0).wait(4.0)
    assert world.of(e.Closed) == [e.Closed()]
    assert world.signals[-2:] == ["terminate", "kill"]


def test_a_close_while_a_hung_server_is_being_ended_starts_none_again() -> None:
    world = World().ready()
    world.health, world.obeys = SILENT, set()
    while "terminate" not in world.signals:
        world.wait(1)
    world.obeys = {"kill"}
    world.ask("close").wait(60)
    assert world.of(e.Closed) == [e.Closed()]
    assert len(world.of(e.Spawn)) == 1


def test_nothing_is_heard_after_a_close() -> None:
    world = World().ready()
    world.obeys = {"kill"}
    world.ask("close").ask("start").ask("restart").wait(60)
    assert world.state is State.STOPPED
    assert len(world.of(e.Spawn)) == 1


def test_a_restart_ends_the_old_one_before_the_new_one_begins() -> None:
    world = World().ready().ask("restart")
    assert world.state is State.STOPPING
    world.wait(1).listens().wait(1)
    assert world.state is State.READY
    assert len(world.of(e.Spawn)) == 2  # the world itself refuses two at once


def test_a_restart_where_nothing_runs_is_a_start() -> None:
    world = World().ask("restart").listens().wait(1)
    assert world.state is State.READY


def test_a_start_while_it_stops_starts_it_again_afterwards() -> None:
    world = World().ready().ask("stop").ask("start").wait(1).listens().wait(1)
    assert world.state is State.READY


def test_a_stop_while_it_restarts_leaves_it_stopped() -> None:
    world = World().ready().ask("restart").ask("stop").wait(60)
    assert world.state is State.STOPPED


def test_a_stop_while_it_waits_after_a_crash_leaves_it_stopped() -> None:
    world = World().ready().ends().ask("stop").wait(60)
    assert (world.state, world.problem) == (State.STOPPED, "")
    assert len(world.of(e.Spawn)) == 1


def test_a_start_while_it_waits_after_a_crash_does_not_wait() -> None:
    world = World().ready().ends().ask("start").wait(0.3)
    assert len(world.of(e.Spawn)) == 2


def test_a_person_may_stop_an_adopted_server() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(5).ask("stop")
    assert world.signals == ["terminate"]
    world.wait(60)
    assert world.state is State.STOPPED
    assert world.of(e.Spawn) == []


def test_a_person_may_restart_an_adopted_server_that_is_silent_and_ours_takes_its_place() -> None:
    world = World()
    world.found, world.health, world.obeys = FOREIGN, SILENT, {"kill"}
    world.ask("start").wait(60).ask("restart").wait(15)
    assert world.signals == ["terminate", "kill"]
    world.health = READY
    assert world.listens().wait(1).state is State.READY


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_there_are_never_two_servers_and_it_comes_to_rest(seed: int) -> None:
    """The world refuses a spawn beside a living server; each history ends ready, adopted, stopped or failed with a reason."""
    chance = random.Random(seed)
    world = World(chance=chance.random())
    happenings = (
        lambda: world.ask(chance.choice(["start", "stop", "restart"])),
        lambda: world.wait(chance.choice([0.05, 1, 7, 40, 400])),
        lambda: (
            world.lives
            and world.ends(e.Ending(chance.choice(["crash", "ordered", "disk", "settings", "newer", "conflict", "port"]), port=1))
        ),
        lambda: world.lives and world.feed(e.Listening(world.run, "http://127.0.0.1:1", "token")),
        lambda: [world.feed(e.Held(one.run, 1, chance.choice([None, "nginx"]), chance.choice([0, 2]))) for one in world.of(e.AskHolder)],
        lambda: setattr(world, "health", chance.choice([READY, READY, SILENT, None, e.Health("live"), e.Health("other")])),
        lambda: setattr(world, "obeys", chance.choice([{"kill"}, {"close_input", "kill"}, {"terminate", "kill"}])),
        lambda: setattr(world, "works", chance.choice([0.0, 1.0])),
        lambda: not world.lives and setattr(world, "found", chance.choice([None, None, FOREIGN])),
        lambda: world.sleep(chance.choice([20, 4000]), counted=chance.random() < 0.5),
    )
    for _ in range(80):
        chance.choice(happenings)()
    world.found, world.health, world.stuck = None, READY, 0
    world.obeys = {"close_input", "terminate", "kill"}
    world.wait(1)
    if world.state in (State.EXTERNAL, State.SUSPECT) and not world.lives:
        world.feed(e.Ended(world.run, ORDERED))
    for _ in range(20):
        world.ask("start").wait(200)
        if world.lives and world.state is State.STARTING:
            world.listens().wait(1)
        for one in world.of(e.AskHolder):
            world.feed(e.Held(one.run, 1, "nginx", 0))
        if world.state is State.READY:
            break
    assert world.state is State.READY
    world.ask("close").wait(6)
    assert world.of(e.Closed) == [e.Closed()]
    assert not world.lives
