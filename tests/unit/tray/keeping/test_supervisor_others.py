"""Histories of a server that somebody else has started: adopted, and left to its owner."""

from __future__ import annotations

from supervised import ORDERED, READY, SILENT, World

from tray.keeping import events as e
from tray.records import ActionKind, State

FOREIGN = e.Found(0, "http://127.0.0.1:9999", "theirs", "1.0")


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


def test_an_adopted_server_is_not_upgraded_by_us() -> None:
    world = World()
    world.found = FOREIGN
    world.ask("start").wait(5).feed(e.Installed("1.1")).wait(600)
    assert (world.state, world.signals) == (State.EXTERNAL, [])
