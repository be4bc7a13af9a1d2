"""The real icon on a desktop of our own: it registers, its menu is read and clicked over the bus, and what changes changes in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tray_host
from shown_icon import FULL, Running, showing
from tray_host import Desktop, Panel

from tray.face import menu
from tray.records import Action, ActionKind, Choices, Download, Server, Snapshot, State

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(bool(tray_host.missing()), reason=tray_host.missing())]


def leaves(rows: tuple[menu.Row, ...], *path: str) -> Iterator[tuple[tuple[str, ...], menu.Row]]:
    for row in rows:
        if row.rows:
            yield from leaves(row.rows, *path, row.label)
        else:
            yield (*path, row.label), row


def test_it_registers_with_its_state_as_title_and_picture(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    panel.until(lambda: seen["Status"] == "Active")
    assert seen["Title"] == "Ondol is ready"
    assert seen["IconName"] == "ondol-ready"
    for size in (16, 22, 24, 32, 48, 64):
        assert (Path(seen["IconThemePath"]) / "hicolor" / f"{size}x{size}" / "apps" / "ondol-ready.png").is_file()


def test_every_row_arrives_at_the_panel_as_the_menu_says(panel: Panel, icon: Running) -> None:
    wanted = [row for row in menu.rows(FULL, "en", 1.0e9) if not row.separator]
    seen = [entry for entry in panel.icon().menu().entries if entry.kind != "separator"]
    assert [entry.label.replace("__", "_") for entry in seen if not entry.label.startswith("Sync")] == [
        row.label for row in wanted if row.key != "sync"
    ]
    assert [entry.enabled for entry in seen] == [row.enabled for row in wanted]
    models = panel.icon().menu().find("Models")
    assert [(entry.label, entry.kind, entry.checked) for entry in models.entries[:2]] == [
        ("smol__lm & co (in memory)", "radio", True),  # an underscore is doubled on this wire, where one marks a shortcut
        ("여우 모델", "radio", False),
    ]


def test_a_label_that_changes_keeps_its_underscores(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    icon.ask(show=replace(FULL, models=(replace(FULL.models[0], state="loading"),)))
    panel.until(lambda: seen.menu().find("Models").entries[0].label == "smol__lm & co (loading…)")


def test_every_row_that_can_be_clicked_sends_its_action(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    clicked = 0
    for path, row in leaves(menu.rows(FULL, "en", 1.0e9)):
        if row.action is None or not row.enabled:
            continue
        seen.click(*(("Sync now",) if row.key == "sync" else path))
        assert icon.clicked() == row.action
        clicked += 1
    assert clicked >= 25


def test_a_mark_stays_as_it_is_until_the_choice_is_made(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    seen.click("Settings", "Notifications")
    assert icon.clicked() == Action(ActionKind.SET_NOTIFICATIONS, "off")
    assert seen.menu().find("Settings", "Notifications").checked
    icon.ask(show=replace(FULL, choices=Choices(notifications=False)))
    panel.until(lambda: not seen.menu().find("Settings", "Notifications").checked)
    assert icon.told.empty()  # bringing a mark up to date is no click


def test_another_language_changes_every_label_in_place(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    revision, before = seen.layout()
    icon.ask(show=replace(FULL, choices=Choices(language="ko")))
    panel.until(lambda: seen["Title"] == "온돌이 준비되었습니다")
    panel.until(lambda: seen.menu().entries[-1].label.startswith("끝내기"))
    after_revision, after = seen.layout()
    assert (after_revision, [entry.id for entry in after.walk()]) == (revision, [entry.id for entry in before.walk()])
    for path, row in leaves(menu.rows(replace(FULL, choices=Choices(language="ko")), "ko", 1.0e9)):
        if row.key in ("start", "logs", "login", "language:auto", "cancel:d1"):
            assert after.find(*path).label == row.label


def test_a_hundred_updates_of_a_download_rebuild_nothing(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    icon.ask(show=replace(FULL, downloads=(Download("a", "a model", 0, 100),)))
    panel.until(lambda: "0 %" in seen.menu().find("Downloading a model").label)
    revision, before = seen.layout()
    rebuilt, changed, came = panel.signals["LayoutUpdated"], panel.signals["ItemsPropertiesUpdated"], panel.registrations
    icon.ask(show=replace(FULL, downloads=(Download("a", "a model", 0, 100),)))
    icon.ask(many=100, every=0.04)
    panel.until(lambda: "100 %" in seen.menu().find("Downloading a model").label, 30)
    after_revision, after = seen.layout()
    assert after_revision == revision
    assert [entry.id for entry in after.walk()] == [entry.id for entry in before.walk()]
    assert panel.signals["LayoutUpdated"] == rebuilt
    assert panel.signals["ItemsPropertiesUpdated"] - changed > 20
    assert panel.registrations == came


def test_rows_that_come_and_go_leave_the_others_as_they_are_so_a_click_on_an_open_menu_arrives(panel: Panel, icon: Running) -> None:
    seen = panel.icon()
    opened = seen.menu().find("Help", "Show logs")
    bare = replace(FULL, downloads=(), models=(), server=replace(FULL.server, problem=None))
    icon.ask(show=bare)
    panel.until(lambda: [entry.label for entry in seen.menu().find("Models").entries] == ["No model on this computer yet"])
    assert len(seen.menu().entries) == len(menu.rows(bare, "en", 1.0e9))
    seen.click_id(opened.id)
    assert icon.clicked() == Action(ActionKind.OPEN_LOGS)
    icon.ask(show=FULL)
    panel.until(lambda: seen.menu().entries[1].label.startswith("⚠"))
    panel.until(lambda: len(seen.menu().entries) == len(menu.rows(FULL, "en", 1.0e9)))
    assert seen.menu().find("Help", "Show logs").id == opened.id


def test_a_burst_of_snapshots_ends_with_the_last(desktop: Desktop, panel: Panel, pictures: Path) -> None:
    with showing(desktop.environment, pictures, pause=1.0) as running:
        running.next("ready")
        seen = panel.icon()
        before = panel.signals["ItemsPropertiesUpdated"]
        running.ask(show=replace(FULL, downloads=(Download("a", "a model", 0, 100),)))
        running.ask(many=100)
        panel.until(lambda: "100 %" in seen.menu().find("Downloading a model").label)
        assert panel.signals["ItemsPropertiesUpdated"] - before < 20


@pytest.mark.parametrize("state", list(State))
def test_each_state_has_its_picture_and_its_title(panel: Panel, icon: Running, state: State) -> None:
    seen = panel.icon()
    icon.ask(show=Snapshot(server=Server(state)))
    panel.until(lambda: seen["IconName"] == f"ondol-{state}")
    panel.until(lambda: seen["Title"] == menu.status(Server(state), "en"))


def test_notifications_arrive_with_the_state_as_their_picture(panel: Panel, icon: Running) -> None:
    icon.ask(notify=["온돌", "a < b & c"])
    note = panel.note("a < b & c")
    assert (note.title, note.app) == ("온돌", "Ondol")
    assert Path(note.picture).name == "ondol-ready.png"
