"""Trays of their own over the real server: how each starts, what it does without this or that, and how it ends."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tray_host
from tray_host import Desktop, Panel
from tray_program import Place, add_chat_page, fill, tray, unchosen, until

from app.core.locks import FileLock
from models.installed import InstalledModel
from models.library import Library

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(bool(tray_host.missing()), reason=tray_host.missing())]


MODEL, SECOND = "smollm2-135m-instruct", "second"


@pytest.fixture
def place(tmp_path: Path, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> Place:
    return Place(tmp_path, models_dir)


def test_a_killed_tray_leaves_no_server_no_chat_page_and_no_sync(place: Place, desktop: Desktop, panel: Panel) -> None:
    fill(place)
    add_chat_page(place)
    # Another run holds the store, so that the sync is under way for as long as it takes.
    with tray(place, desktop, panel=panel) as running, FileLock(next(place.home.locks.glob("*company*.lock")), wait=10):
        running.shows("Ondol is ready")
        running.click("Open chat")
        until(lambda: place.words("browser"), "no browser was opened")
        running.click("Sync now")
        running.shows("Syncing")
        until(lambda: any("sync" in process.cmdline() for process in place.processes()), "no sync runs")
        assert len(place.processes()) >= 5
        running.process.kill()
        running.process.wait()
        place.is_left()


def test_without_a_chat_page_a_click_says_how_to_get_one(place: Place, desktop: Desktop, panel: Panel) -> None:
    with tray(place, desktop, panel=panel) as running:
        running.shows("Ondol is ready")
        running.click("Open chat")
        running.panel.note("get-open-webui.txt", 60)
        [opened] = until(lambda: place.words("xdg-open"), "no text was opened")
        assert "pip" in Path(opened).read_text(encoding="utf-8")
        running.shows("Get the chat page")


def test_the_first_start_says_that_it_is_ready_and_the_second_does_not(place: Place, desktop: Desktop, panel: Panel) -> None:
    for first in (True, False):
        panel.notes.clear()
        with tray(place, desktop, panel=panel) as running:
            running.shows("Ondol is ready")
            running.click("Help", "About Ondol")
            running.panel.note("Ondol 0.")
            assert any("Click the icon" in note.text for note in panel.notes) == first
            assert running.end() == 0
        assert place.processes() == []


def test_a_click_on_a_model_that_the_settings_outrank_says_so_and_where(
    place: Place, desktop: Desktop, panel: Panel, smollm2: Path
) -> None:
    shutil.copy(smollm2, place.folder / f"{SECOND}.gguf")
    Library(place.home.models).pull(f"file:{place.folder / f'{SECOND}.gguf'}")
    place.home.config.write_text(f"models:\n  default: {MODEL}\n", encoding="utf-8")
    with tray(place, desktop, panel=panel) as running:
        running.shows("Models", "SmolLM2")
        other = unchosen(running)
        running.click("Models", other)
        note = running.panel.note("config.yaml line 2", 60)
        assert MODEL in note.text
        assert not running.shows("Models", other).checked


def test_a_chat_page_whose_port_was_taken_stays_where_it_went_at_the_next_start(place: Place, desktop: Desktop, panel: Panel) -> None:
    add_chat_page(place)
    with contextlib.ExitStack() as other:
        with contextlib.suppress(OSError):  # another program has it already, which is as good
            other.enter_context(socket.create_server(("127.0.0.1", 8080)))
        with tray(place, desktop, panel=panel) as running:
            running.shows("Ondol is ready")
            running.click("Open chat")
            [first] = until(lambda: place.words("browser"), "no browser was opened")
            assert running.end() == 0
    assert urlsplit(first).port != 8080
    with tray(place, desktop, panel=panel) as running:
        running.shows("Ondol is ready")
        running.click("Open chat")
        until(lambda: len(place.words("browser")) == 2, "no browser was opened")
    assert place.words("browser") == [first, first]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_each_polite_signal_ends_everything_with_the_icon_shown(name: str, place: Place, desktop: Desktop, panel: Panel) -> None:
    with tray(place, desktop, panel=panel) as running:
        running.shows("Ondol is ready")
        assert running.end(signal.Signals[name]) == 0
        assert place.processes() == []


def test_a_signal_in_the_middle_of_the_start_leaves_nothing(place: Place, desktop: Desktop, panel: Panel) -> None:
    for _ in range(2):
        seen = panel.registrations
        with tray(place, desktop, panel=panel) as running:
            until(lambda: panel.registrations > seen, "no icon has registered")  # noqa: B023
            assert running.end() == 0
            place.is_left()


def test_headless_serves_on_a_desktop_without_an_icon(place: Place, desktop: Desktop, panel: Panel) -> None:
    with tray(place, desktop, "--headless", "--language", "ko", panel=panel) as running:
        record = until(place.server, "no server runs")
        until(lambda: f"온돌이 준비되었습니다 {record.address}" in running.said, "it does not say that it is ready")
        assert panel.registrations == 0
        assert running.end() == 0
        assert place.processes() == []


def test_without_a_display_it_serves_and_says_what_is_missing(place: Place) -> None:
    with tray(place, None) as running:
        until(place.server, "no server runs")
        assert "No display" in running.said
        assert "kept without it" in running.said
        assert running.end(signal.SIGINT) == 0
        assert place.processes() == []


def test_without_a_session_bus_it_serves_and_says_what_is_missing(place: Place, desktop: Desktop) -> None:
    lost = f"unix:path={place.folder / 'nowhere'}"
    with tray(place, desktop, DBUS_SESSION_BUS_ADDRESS=lost) as running:
        until(place.server, "no server runs")
        assert "no session bus" in running.said
        assert running.end() == 0


def test_headless_with_wrong_settings_ends_with_their_status_and_the_line(place: Place) -> None:
    place.home.config.write_text("sever: {port: 1}\n", encoding="utf-8")
    with tray(place, None, "--headless") as running:
        assert running.process.wait(60) == 78
        assert "sever" in running.said


def test_a_desktop_without_a_clipboard_gets_the_keys_place_and_not_the_key(place: Place, desktop: Desktop, panel: Panel) -> None:
    (place.programs / "xclip").write_text("#!/bin/sh\nexit 1\n")
    with tray(place, desktop, panel=panel) as running:
        running.shows("Ondol is ready")
        running.click("Server", "Copy API key")
        note = running.panel.note(str(place.home.key))
        assert place.home.key.read_text().strip() not in note.text


def test_a_load_keeps_no_other_click_waiting(place: Place, desktop: Desktop, panel: Panel) -> None:
    with tray(place, desktop, panel=panel) as running:
        running.shows("Models", "SmolLM2")
        running.click("Models", "SmolLM2")
        running.click("Server", "Stop")
        running.shows("Ondol is stopped")
        assert place.server() is None
