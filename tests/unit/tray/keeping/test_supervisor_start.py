"""Histories of a server that starts: looks, progress, time-outs, ports, settings."""

from __future__ import annotations

import pytest
from supervised import ADDRESS, CRASH, ORDERED, READY, TOKEN, World

from tray.keeping import events as e
from tray.records import ActionKind, State

FOREIGN = e.Found(0, "http://127.0.0.1:9999", "theirs", "1.0")


def test_nothing_runs_before_somebody_wants_it() -> None:
    world = World().wait(60)
    assert world.state is State.STOPPED
    assert world.decided == []


def test_a_start_looks_first_and_spawns_only_where_nobody_serves() -> None:
    world = World().ask("start")
    assert [type(decision) for _, decision in world.decided] == [e.Look]
    world.wait(0.2)
    assert [type(decision) for _, decision in world.decided] == [e.Look, e.Spawn]
    assert world.state is State.STARTING


def test_it_is_ready_once_its_health_carries_the_token_of_this_run() -> None:
    world = World().ready()
    assert world.seen == [State.STOPPED, State.STARTING, State.READY]
    assert world.of(e.Probe)[0].token == TOKEN
    assert (world.supervisor.server.address, world.supervisor.server.version) == (ADDRESS, "1.0")


def test_another_program_that_answers_at_the_address_does_not_make_it_ready() -> None:
    world = World()
    world.health = e.Health("other", cpu=1.0)
    world.ask("start").listens().wait(30)
    assert world.state is State.STARTING


def test_a_second_start_while_it_starts_or_runs_starts_no_second_server() -> None:
    world = World().ask("start").ask("start").wait(1).ask("start").listens().wait(1).ask("start").wait(20)
    assert world.state is State.READY
    assert len(world.of(e.Spawn)) == 1


def test_a_start_without_a_sign_of_life_is_ended_and_tried_again() -> None:
    world = World().ask("start").wait(59)
    assert world.state is State.STARTING
    world.wait(2)
    assert world.state is State.BACKOFF
    assert (world.problem, world.values) == ("slow_start", {"seconds": "60"})
    assert world.signals[-3:] == ["close_input", "resume", "terminate"]
    world.wait(5)
    assert len(world.of(e.Spawn)) == 2


def test_a_start_that_reports_progress_may_take_an_hour() -> None:
    world = World().ask("start").wait(1)
    for minute in range(60):
        world.feed(e.Progressed(world.run, f"migrating {minute}/60")).wait(59)
        assert world.state is State.STARTING
        assert world.supervisor.server.progress == f"migrating {minute}/60"
    world.listens().wait(1)
    assert world.state is State.READY
    assert world.supervisor.server.progress == ""


def test_a_start_that_works_without_a_word_is_waited_for_much_longer_but_not_for_ever() -> None:
    world = World()
    world.works = 0.9
    world.ask("start").wait(800)
    assert world.state is State.STARTING
    world.wait(200)
    assert State.BACKOFF in world.seen
    assert len(world.of(e.Spawn)) == 2


def test_progress_stops_and_so_does_the_patience() -> None:
    world = World().ask("start").wait(1)
    world.feed(e.Progressed(world.run, "migrating")).wait(58)
    assert world.state is State.STARTING
    world.wait(3)
    assert world.problem == "slow_start"


def test_a_start_that_stands_still_is_woken() -> None:
    world = World()
    world.health = None
    world.ask("start").wait(3)
    asked = world.of(e.Probe)[-1]
    assert asked.address == ""
    world.feed(e.Answered(asked.run, asked.number, e.Health("silent", cpu=1.0, stopped=True)))
    assert world.signals == ["resume"]


def test_wrong_settings_fail_at_once_with_their_line_and_are_not_tried_again() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("settings", "config.yaml:3: unknown key 'sever'")).wait(600)
    assert world.state is State.FAILED
    assert (world.problem, world.values) == ("settings", {"detail": "config.yaml:3: unknown key 'sever'"})
    assert len(world.of(e.Spawn)) == 1
    problem = world.supervisor.server.problem
    assert problem is not None
    assert problem.remedy is not None
    assert problem.remedy.kind is ActionKind.START_SERVER


def test_data_of_a_newer_ondol_fail_at_once_and_a_click_after_the_update_starts() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("newer", "state.db was written by a newer Ondol")).wait(600)
    assert (world.state, world.problem) == (State.FAILED, "newer_data")
    assert len(world.of(e.Spawn)) == 1
    assert world.ready().state is State.READY


def test_settings_that_were_mended_start_by_a_click() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("settings", "line 3")).wait(60).ready()
    assert world.state is State.READY
    assert world.problem == ""


def test_a_program_that_is_not_there_any_more_fails_with_its_name() -> None:
    world = World().ask("start").wait(0.2)
    world.lives = False
    world.feed(e.NotSpawned(world.run, "No such file or directory: /moved/bin/python"))
    assert world.state is State.FAILED
    assert (world.problem, world.values) == ("cannot_start", {"detail": "No such file or directory: /moved/bin/python"})
    assert world.wait(600).state is State.FAILED


def test_a_port_of_another_program_is_left_to_it_and_the_next_free_one_taken() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("port", port=11500))
    asked = world.of(e.AskHolder)
    assert [one.port for one in asked] == [11500]
    world.feed(e.Held(world.run, 11500, "nginx", 11501))
    assert world.of(e.Spawn)[-1].port == 11501
    world.listens().wait(1)
    assert world.state is State.READY
    assert (world.problem, world.values) == ("other_port", {"port": "11501", "wanted": "11500", "program": "nginx"})
    assert world.signals == []


def test_a_port_that_may_not_be_changed_fails_with_the_name_of_the_program() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("port", port=8080))
    world.feed(e.Held(world.run, 8080, "nginx", 0)).wait(600)
    assert world.state is State.FAILED
    assert (world.problem, world.values) == ("port_taken", {"port": "8080", "program": "nginx"})
    assert len(world.of(e.Spawn)) == 1


def test_a_port_that_is_free_again_is_simply_tried_again() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("port", port=11500))
    world.feed(e.Held(world.run, 11500, None, 11501))
    assert world.state is State.BACKOFF
    world.wait(2).listens().wait(1)
    assert world.state is State.READY
    assert world.of(e.Spawn)[-1].port is None
    assert world.problem == ""


def test_after_a_crash_the_configured_port_is_tried_first_again() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("port", port=11500))
    world.feed(e.Held(world.run, 11500, "nginx", 11501)).listens().wait(1).ends().wait(3)
    assert world.of(e.Spawn)[-1].port is None


def test_a_stop_while_the_port_is_asked_about_ends_in_stopped() -> None:
    world = World().ask("start").wait(1).ends(e.Ending("port", port=11500))
    run = world.run
    world.ask("stop").feed(e.Held(run, 11500, "nginx", 11501)).wait(5)
    assert world.state is State.STOPPED
    assert len(world.of(e.Spawn)) == 1


def test_a_data_folder_that_another_server_has_is_looked_at_again_and_its_server_adopted() -> None:
    world = World().ask("start").wait(1)
    world.found = FOREIGN
    world.ends(e.Ending("conflict", "A server already runs"))
    assert (world.state, world.problem) == (State.BACKOFF, "busy_home")
    world.wait(2)
    assert world.state is State.EXTERNAL


def test_a_full_disk_is_waited_out_for_as_long_as_it_takes() -> None:
    world = World().ask("start").wait(1)
    for _ in range(20):
        world.ends(e.Ending("disk", "No space left on device"))
        assert (world.state, world.problem) == (State.BACKOFF, "disk_full")
        world.wait(31)
        assert world.state is State.STARTING
    world.listens().wait(1)
    assert world.state is State.READY


def test_a_stop_while_it_is_looked_for_a_server_spawns_none() -> None:
    world = World().ask("start").ask("stop").wait(30)
    assert world.state is State.STOPPED
    assert world.of(e.Spawn) == []


def test_a_stop_in_mid_start_ends_what_was_spawned() -> None:
    world = World().ask("start").wait(1).ask("stop")
    assert world.state is State.STOPPING
    assert world.wait(1).state is State.STOPPED
    assert world.problem == ""


def test_a_crash_in_mid_start_is_a_crash() -> None:
    world = World().ask("start").wait(1).ends(CRASH)
    assert (world.state, world.problem, world.values) == (State.BACKOFF, "crashed", {"detail": "Segmentation fault"})


@pytest.mark.parametrize("wish", ["start", "restart"])
def test_what_an_earlier_run_left_and_nobody_can_end_fails_with_its_pid(wish: str) -> None:
    world = World()
    world.stuck = 4321
    world.ask(wish).wait(1)
    assert (world.state, world.problem, world.values) == (State.FAILED, "still_running", {"pid": "4321"})
    assert world.of(e.Spawn) == []
    world.stuck = 0
    assert world.ready().state is State.READY


def test_news_of_an_earlier_run_is_no_news() -> None:
    world = World().ready()
    old = world.run
    world.ends().wait(2)
    before = world.supervisor.server
    world.feed(e.Ended(old, CRASH)).feed(e.Listening(old, "http://127.0.0.1:1", "x")).feed(e.Answered(old, 1, READY))
    world.feed(e.Nothing(old)).feed(e.Found(old, "http://127.0.0.1:2", "x")).feed(e.Progressed(old, "x")).feed(e.Ended(old, ORDERED))
    assert world.supervisor.server == before
    assert world.listens().wait(1).state is State.READY


def test_a_log_folder_that_can_not_be_written_is_told_beside_a_server_that_runs() -> None:
    world = World().ready().feed(e.LogFolder("logs"))
    assert (world.state, world.problem, world.values) == (State.READY, "log_unwritable", {"folder": "logs"})
    assert world.wait(20).problem == "log_unwritable"
    assert world.feed(e.LogFolder("")).problem == ""
