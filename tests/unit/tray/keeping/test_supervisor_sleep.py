"""Histories of a machine that sleeps, and of a clock that is set."""

from __future__ import annotations

import pytest
from supervised import READY, SILENT, World

from tray.keeping import events as e
from tray.records import State


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
