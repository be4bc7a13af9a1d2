"""The real icon where something of the desktop is missing, comes later or goes: it goes on, or says what helps."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import tray_host
from shown_icon import showing
from tray_host import Desktop, Panel

from tray.records import Action, ActionKind

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(bool(tray_host.missing()), reason=tray_host.missing())]


def test_where_notifications_read_markup_a_name_is_still_text(desktop: Desktop, pictures: Path) -> None:
    with Panel(desktop.bus, markup=True) as panel, showing(desktop.environment, pictures) as running:
        running.next("ready")
        running.ask(notify=["Ondol", "<b>x</b> & y"])
        assert panel.note("x").text == "&lt;b&gt;x&lt;/b&gt; &amp; y"


def test_a_panel_that_restarts_gets_the_icon_again(desktop: Desktop, pictures: Path) -> None:
    with Panel(desktop.bus) as first, showing(desktop.environment, pictures) as running:
        running.next("ready")
        first.icon()
        first.__exit__()
        with Panel(desktop.bus) as second:
            second.icon().click("Quit")
            assert running.clicked() == Action(ActionKind.QUIT)


def test_without_a_panel_it_goes_on_and_says_so_and_a_panel_that_comes_later_gets_it(desktop: Desktop, pictures: Path) -> None:
    with showing(desktop.environment, pictures) as running:
        running.next("ready")
        assert running.next("missing")["code"] == "no_tray_host"
        with Panel(desktop.bus) as panel:
            assert panel.icon()["Title"] == "Ondol is ready"


def test_without_a_notification_service_it_goes_on_and_says_so_once(desktop: Desktop, pictures: Path) -> None:
    with Panel(desktop.bus, takes_notes=False) as panel, showing(desktop.environment, pictures) as running:
        running.next("ready")
        running.ask(notify=["Ondol", "one"])
        assert running.next("missing")["code"] == "no_notification_daemon"
        running.ask(notify=["Ondol", "two"])
        panel.icon().click("Quit")
        assert running.clicked() == Action(ActionKind.QUIT)


def unavailable(environment: dict[str, str], pictures: Path) -> dict[str, Any]:
    with showing(environment, pictures) as running:
        told = running.next("unavailable")
        assert running.process.wait(10) == 3
        return told


def test_without_a_display_it_says_so(desktop: Desktop, pictures: Path) -> None:
    told = unavailable({**desktop.environment, "DISPLAY": ""}, pictures)
    assert told["code"] == "no_display"


def test_with_a_display_that_is_gone_it_says_so(desktop: Desktop, pictures: Path) -> None:
    told = unavailable({**desktop.environment, "DISPLAY": ":987"}, pictures)
    assert (told["code"], ":987" in told["message"]) == ("no_display", True)


def test_without_a_session_bus_it_says_so(desktop: Desktop, pictures: Path) -> None:
    told = unavailable({**desktop.environment, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"}, pictures)
    assert told["code"] == "no_bus"


def test_a_desktop_whose_icons_have_no_menu_is_told_which_packages_help(desktop: Desktop, pictures: Path) -> None:
    told = unavailable({**desktop.environment, "PYSTRAY_BACKEND": "xorg"}, pictures)
    assert told["code"] == "no_menu"
    assert "gir1.2-ayatanaappindicator3-0.1" in told["message"]


def test_a_signal_reaches_the_program_while_the_icon_waits_for_clicks(desktop: Desktop, panel: Panel, pictures: Path) -> None:
    with showing(desktop.environment, pictures) as running:
        running.next("ready")
        running.process.send_signal(signal.SIGINT)
        running.next("interrupted")
        running.next("end")


def test_pictures_that_can_not_be_kept_are_made_anew_elsewhere_and_taken_away_at_the_end(
    desktop: Desktop, panel: Panel, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with showing(desktop.environment, tmp_path / "file") as running:
        running.next("ready")
        folder = Path(panel.icon()["IconThemePath"])
        assert (folder / "hicolor" / "16x16" / "apps" / "ondol-ready.png").is_file()
    assert not folder.exists()
