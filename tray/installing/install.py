r"""`ondol tray --install` and `--uninstall`: Ondol where its user looks for programs, and away from there again.

    Linux, BSD   $XDG_DATA_HOME/applications/ondol.desktop, $XDG_DATA_HOME/icons/hicolor/*/apps/ondol.png
    macOS        ~/Applications/Ondol.app
    Windows      the Start menu's Ondol.lnk, in Korean 온돌 (Ondol).lnk; %LOCALAPPDATA%\ondol\ondol.ico
    --headless   a systemd user unit; on macOS and Windows the same as "start at login", without an icon

No administrator is needed and nothing else is touched. Starting at login is a choice in the menu, not made here; `uninstall`
takes it back too. Data, models and settings stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tray.installing.applications import ApplicationsMenu
from tray.installing.bundle import Bundle
from tray.installing.launch import Launch, this_one
from tray.installing.login import LoginStart
from tray.installing.places import Desktop
from tray.installing.start_menu import StartMenu
from tray.installing.unit import UserUnit


@dataclass(frozen=True)
class Done:
    """What was made or removed, and what its user should know."""

    paths: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


class Menu(Protocol):
    """The entry among the user's programs. Methods raise OndolError where the system refuses."""

    def add(self, launch: Launch, language: str) -> list[Path]:
        """Make the entry, in place of an earlier one."""

    def remove(self) -> list[Path]:
        """Take it away; nothing where there is none."""


def install(launch: Launch | None = None, desktop: Desktop | None = None, *, headless: bool = False, language: str = "en") -> Done:
    """Put Ondol in its place. OndolError where a folder can't be written or a command of the system fails."""
    desktop = desktop or Desktop()
    launch = launch or this_one(desktop.environ)
    if not headless:
        paths = menu_of(desktop).add(launch, language)
        return Done(tuple(paths), ("Ondol stands among your programs now.",))
    if desktop.system in ("darwin", "win32"):
        login = LoginStart.for_this_system(replace(launch, headless=True), desktop)
        if login is not None:
            login.enable()
        return Done((), ("Ondol starts when you log in, without an icon.",))
    unit = UserUnit(desktop)
    notes = unit.install(launch)
    return Done((unit.path, unit.link), tuple(notes))


def uninstall(launch: Launch | None = None, desktop: Desktop | None = None) -> Done:
    """Take away all that `install` and "start at login" made, of the icon and of the headless one."""
    desktop = desktop or Desktop()
    login = LoginStart.for_this_system(launch or this_one(desktop.environ), desktop)
    if login is not None:
        login.disable()
    paths = menu_of(desktop).remove()
    if desktop.system not in ("darwin", "win32"):
        paths += UserUnit(desktop).uninstall()
    return Done(tuple(paths), ("Ondol is no longer among your programs and does not start at login. Your data stays.",))


def menu_of(desktop: Desktop) -> Menu:
    """The menu of this system."""
    if desktop.system == "win32":
        return StartMenu(desktop)
    return Bundle(desktop) if desktop.system == "darwin" else ApplicationsMenu(desktop)
