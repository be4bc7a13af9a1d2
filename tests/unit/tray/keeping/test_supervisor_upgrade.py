"""Histories of an upgrade: another version lies on the disk, and the server that runs gives way to it when nobody is disturbed."""

from __future__ import annotations

from supervised import READY, World

from tray.keeping import events as e
from tray.records import State


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
