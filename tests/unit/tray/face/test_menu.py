"""The menu as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tray.face import menu
from tray.face.menu import Row, ago, cut, rows, status
from tray.face.words import Language
from tray.records import Action, ActionKind, ChatPage, Choices, Download, Model, Problem, Server, Snapshot, State, Sync

NOW = 1_800_000_000.0
READY = Snapshot(server=Server(State.READY, "http://127.0.0.1:11500", "0.1.0"))
FULL = replace(
    READY,
    server=replace(READY.server, problem=Problem("hung", {"seconds": "25"}, Action(ActionKind.RESTART_SERVER))),
    models=(Model("a", "A", "loaded", default=True), Model("b", "B", "loading"), Model("c", "C")),
    downloads=tuple(Download(f"d{number}", f"model {number}", 10, 100) for number in range(8)),
    sync=Sync(last=NOW - 300, sources=2),
)


def walk(found: tuple[Row, ...]) -> Iterator[Row]:
    for row in found:
        yield row
        yield from walk(row.rows)


def row(snapshot: Snapshot, key: str, language: Language = "en") -> Row:
    return next(one for one in walk(rows(snapshot, language, NOW)) if one.key == key)


def keys(found: tuple[Row, ...]) -> list[str]:
    return [one.key for one in found]


@pytest.mark.parametrize("snapshot", [Snapshot(), READY, FULL])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_row_has_a_key_of_its_own_and_a_label(snapshot: Snapshot, language: Language) -> None:
    found = list(walk(rows(snapshot, language, NOW)))
    assert len(set(keys(tuple(found)))) == len(found)
    assert all(one.label or one.separator for one in found)


@pytest.mark.parametrize("state", list(State))
def test_rows_keep_their_places_whatever_the_server_does(state: State) -> None:
    assert keys(rows(Snapshot(server=Server(state)), "en", NOW)) == keys(rows(Snapshot(), "ko", NOW))


def test_the_status_comes_first_and_quit_last() -> None:
    assert keys(rows(FULL, "en", NOW))[0] == "status"
    assert keys(rows(FULL, "en", NOW))[-1] == "quit"


def test_every_action_of_the_tray_can_be_reached_from_some_menu() -> None:
    more = replace(FULL, downloads=(Download("x", "x", 1, 2, "paused"), Download("y", "y", 1, 2)))
    reached = {one.action.kind for snapshot in (more, Snapshot()) for one in walk(rows(snapshot, "en", NOW)) if one.action and one.enabled}
    assert reached == set(ActionKind)


def test_a_problem_and_its_remedy_are_there_only_while_there_is_one() -> None:
    assert "problem" not in keys(rows(READY, "en", NOW))
    assert row(FULL, "problem").label == "⚠ The server has not answered for 25 seconds."
    assert not row(FULL, "problem").enabled
    assert row(FULL, "remedy").action == Action(ActionKind.RESTART_SERVER)
    no_remedy = replace(READY, server=replace(READY.server, problem=Problem("disk_full")))
    assert "remedy" not in keys(rows(no_remedy, "en", NOW))


def test_the_servers_problem_goes_before_the_chat_pages_and_that_before_a_failed_sync() -> None:
    all_wrong = replace(FULL, chat=ChatPage("failed", error="no port"), sync=Sync(last=NOW, error="no password", sources=1))
    assert "25 seconds" in row(all_wrong, "problem").label
    chat = replace(all_wrong, server=READY.server)
    assert "no port" in row(chat, "problem").label
    assert row(chat, "remedy").action == Action(ActionKind.OPEN_CHAT)
    sync = replace(chat, chat=ChatPage("ready"))
    assert "no password" in row(sync, "problem").label
    assert row(sync, "remedy").action == Action(ActionKind.SYNC_NOW)


def test_a_failed_sync_is_no_problem_while_the_next_one_runs() -> None:
    assert "problem" not in keys(rows(replace(READY, sync=Sync(running=True, error="no password", sources=1)), "en", NOW))


@pytest.mark.parametrize(
    ("download", "label"),
    [
        (Download("d", "gemma", 430, 1000), "Downloading gemma: 43 % of 0 MB"),
        (Download("d", "gemma", 1_050_000_000, 2_100_000_000), "Downloading gemma: 50 % of 2.1 GB"),
        (Download("d", "gemma", 95_000_000, 0), "Downloading gemma: 95 MB"),
        (Download("d", "gemma", 300, 200), "Downloading gemma: 100 % of 0 MB"),
        (Download("d", "gemma", 1, 2, "paused"), "Paused: gemma, 50 % of 0 MB"),
        (Download("d", "gemma", 0, 0, "failed", "no route"), "Download failed: gemma"),
    ],
)
def test_a_download_says_how_far_it_is(download: Download, label: str) -> None:
    assert row(replace(READY, downloads=(download,)), "download:d").label == label


def test_a_running_download_can_be_paused_and_a_paused_or_failed_one_resumed_and_each_cancelled() -> None:
    for state, kind in (("downloading", "pause"), ("paused", "resume"), ("failed", "resume")):
        one = replace(READY, downloads=(Download("d", "gemma", 1, 2, state),))  # type: ignore[arg-type]
        assert row(one, "turn:d").action == Action(ActionKind(f"{kind}_download"), "d")
        assert row(one, "cancel:d").action == Action(ActionKind.CANCEL_DOWNLOAD, "d")


def test_a_failed_download_says_why() -> None:
    failed = replace(READY, downloads=(Download("d", "gemma", 0, 0, "failed", "no\nroute"),))
    assert row(failed, "reason:d").label == "no route"


def test_more_downloads_than_fit_are_counted() -> None:
    assert [key for key in keys(rows(FULL, "en", NOW)) if key.startswith("download")] == [
        "download:d0", "download:d1", "download:d2", "download:d3", "download:d4", "downloads-more",
    ]  # fmt: skip
    assert row(FULL, "downloads-more").label == "3 more downloads"


def test_the_default_model_is_marked_and_what_is_in_memory_can_be_unloaded() -> None:
    models = row(FULL, "models").rows
    assert [(one.label, one.checked, one.radio) for one in models[:3]] == [
        ("A (in memory)", True, True), ("B (loading…)", False, True), ("C", False, True),
    ]  # fmt: skip
    assert [one.action for one in models[4:]] == [Action(ActionKind.UNLOAD_MODEL, "a"), Action(ActionKind.UNLOAD_MODEL, "b")]


def test_models_can_not_be_chosen_while_no_server_runs() -> None:
    stopped = replace(FULL, server=Server(State.STOPPED))
    assert not any(one.enabled for one in row(stopped, "models").rows if not one.separator)


@pytest.mark.parametrize(
    ("sync", "label", "enabled"),
    [
        (Sync(last=NOW - 300, sources=1), "Sync now (5 minutes ago)", True),
        (Sync(sources=1), "Sync now (never yet)", True),
        (Sync(), "Sync now (no data connected yet)", False),
        (Sync(running=True, sources=1), "Syncing…", False),
        (Sync(running=True, sources=1, items=1234), "Syncing… 1,234", False),
        (Sync(running=True, sources=1, items=30, total=120), "Syncing… 25 %", False),
    ],
)
def test_sync_says_when_it_last_ran_or_how_far_it_is(sync: Sync, label: str, enabled: bool) -> None:
    found = row(replace(READY, sync=sync), "sync")
    assert (found.label, found.enabled) == (label, enabled)


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (-50, "just now"), (0, "just now"), (59, "just now"), (60, "1 minute ago"), (119, "1 minute ago"), (3599, "59 minutes ago"),
        (3600, "1 hour ago"), (7200, "2 hours ago"), (86400, "yesterday"), (86400 * 40, "40 days ago"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_roughly(seconds: float, label: str) -> None:
    assert ago(seconds, "en") == label


@pytest.mark.parametrize(
    ("state", "start", "stop"),
    [
        (State.STOPPED, True, False), (State.FAILED, True, False), (State.BACKOFF, True, True), (State.STOPPING, False, False),
        (State.STARTING, False, True), (State.READY, False, True), (State.SUSPECT, False, True), (State.EXTERNAL, False, True),
    ],
)  # fmt: skip
def test_the_server_can_be_started_where_it_rests_and_stopped_where_it_does_not(state: State, start: bool, stop: bool) -> None:
    found = Snapshot(server=Server(state))
    assert (row(found, "start").enabled, row(found, "stop").enabled, row(found, "restart").enabled) == (start, stop, stop)


def test_quit_says_that_it_stops_the_server_unless_there_is_none_or_somebody_else_started_it() -> None:
    assert row(READY, "quit").label == "Quit (stops the server)"
    for state in (State.EXTERNAL, State.STOPPED, State.FAILED):
        assert row(Snapshot(server=Server(state)), "quit").label == "Quit"


def test_the_chat_can_be_opened_while_the_server_starts_and_how_to_get_one_can_be_read_without_a_server() -> None:
    assert row(Snapshot(server=Server(State.STARTING)), "chat").enabled
    assert not row(Snapshot(server=Server(State.FAILED)), "chat").enabled
    assert row(Snapshot(server=Server(State.FAILED), chat=ChatPage("absent")), "chat").enabled


def test_a_switch_asks_for_its_other_side() -> None:
    on = replace(READY, starts_at_login=True, choices=Choices(notifications=False, language="ko"))
    assert row(on, "login").action == Action(ActionKind.SET_LOGIN_START, "off")
    assert row(on, "notifications").action == Action(ActionKind.SET_NOTIFICATIONS, "on")
    assert [one.checked for one in row(on, "language").rows] == [False, False, True]
    assert not row(replace(READY, starts_at_login=None), "login").enabled


def test_a_start_says_what_it_waits_for_in_words_or_as_it_was_told() -> None:
    assert status(Server(State.STARTING, progress="migrating"), "en") == "Ondol is starting (bringing the data up to date)"
    assert status(Server(State.STARTING, progress="step 3 of 4"), "ko") == "온돌을 시작하는 중 (step 3 of 4)"
    assert status(Server(State.READY, progress="migrating"), "en") == "Ondol is ready"


def test_a_long_name_is_cut_in_the_middle_as_its_ends_tell_it_apart() -> None:
    short = cut("Qwen2.5-Coder-32B-Instruct-abliterated-GGUF-Q4_K_M", 24)
    assert short == "Qwen2.5-Coder-3…F-Q4_K_M"


def test_a_hangul_syllable_takes_two_columns() -> None:
    assert cut("가나다라마바사", 14) == "가나다라마바사"
    assert cut("가나다라마바사", 13) == "가나다라…바사"


def test_a_name_is_one_line_without_marks_that_turn_the_text_around() -> None:
    assert cut("a\nb\tc\u202ed\x00e") == "a b cd e"


@pytest.mark.parametrize("name", ["x" * 500, "모델" * 200, "a\n" * 100])
def test_no_label_is_wider_than_a_menu_should_be(name: str) -> None:
    wide = replace(
        READY,
        server=Server(State.STARTING, progress=name, problem=Problem("crashed", {"detail": name}, Action(ActionKind.OPEN_LOGS))),
        models=(Model(name, name, "loaded"),),
        downloads=(Download(name, name, 1, 2), Download("d", name, 1, 2, "failed", name)),
        sync=Sync(error=name, sources=1),
    )
    for language in ("en", "ko"):
        found = walk(rows(wide, language, NOW))
        assert max(menu._columns(one.label) for one in found) <= menu.WIDEST + 16
