"""The applications menu of freedesktop systems: a desktop entry, and the icon in every size that panels and menus ask for."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from app.core import atomic_file
from app.core.errors import foreign
from tray.installing import app_icon, desktop_entry
from tray.installing.launch import Launch
from tray.installing.places import Desktop, remove, write_bytes
from tray.installing.product import KEYWORDS, KEYWORDS_KO

SIZES = (16, 22, 24, 32, 48, 64, 128, 256)


class ApplicationsMenu:
    """The entry of one user."""

    def __init__(self, desktop: Desktop, draw: app_icon.Draw = app_icon.drawn) -> None:
        self._desktop, self._draw = desktop, draw
        self.entry = desktop.data / "applications" / "ondol.desktop"
        self._theme = desktop.data / "icons" / "hicolor"
        self.icons = {size: self._theme / f"{size}x{size}" / "apps" / "ondol.png" for size in SIZES}

    def add(self, launch: Launch, language: str) -> list[Path]:  # noqa: ARG002  # the entry holds both languages
        """Write both; the icons first, so that no menu shows an entry without one."""
        for size, path in self.icons.items():
            write_bytes(path, app_icon.png(self._draw, size))
        atomic_file.write(self.entry, entry(launch), mode=0o644)
        self._freshen()
        return [self.entry, *self.icons.values()]

    def remove(self) -> list[Path]:
        """Remove both."""
        try:
            removed = [path for path in (self.entry, *self.icons.values()) if remove(path)]
        except OSError as error:
            raise foreign(error) from error
        self._freshen()
        return removed

    def _freshen(self) -> None:
        """A cache of icons counts only while it is younger than its folder; Plasma keeps a list that it makes anew."""
        with contextlib.suppress(OSError):
            os.utime(self._theme)
        if (rebuild := shutil.which("kbuildsycoca6") or shutil.which("kbuildsycoca5")) and "KDE" in self._desktop.environ.get(
            "XDG_CURRENT_DESKTOP", ""
        ):
            self._desktop.run([rebuild])


def entry(launch: Launch) -> str:
    """The text of the desktop entry."""
    return desktop_entry.of_ondol(launch, {"Keywords": KEYWORDS, "Keywords[ko]": KEYWORDS_KO, "Categories": "Utility;"})
