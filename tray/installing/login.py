r"""The tray starts when its user logs in: a file or a value that the desktop reads then. No console window, no administrator.

    Linux, BSD   $XDG_CONFIG_HOME/autostart/ondol.desktop
    macOS        ~/Library/LaunchAgents/ondol.tray.plist
    Windows      HKCU\Software\Microsoft\Windows\CurrentVersion\Run, value Ondol

A user may also switch it off in the system's own settings: then it is not enabled, and `repair` leaves it so. Nothing here
starts or ends a tray that runs.
"""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from xml.parsers.expat import ExpatError

from app.core import atomic_file
from app.core.errors import OndolError, foreign
from tray.installing import desktop_entry, registry
from tray.installing.launch import Launch, mended, parse, this_one
from tray.installing.places import Desktop, remove
from tray.installing.product import LABEL, NAME

RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
LONGEST_RUN = 260  # characters that Windows takes of a line there


class LoginStart(ABC):
    """Whether this tray starts at login, and the switch. All methods raise OndolError where the system refuses."""

    def __init__(self, launch: Launch, desktop: Desktop) -> None:
        self._launch, self._desktop = launch, desktop

    @staticmethod
    def for_this_system(launch: Launch | None = None, desktop: Desktop | None = None) -> LoginStart | None:
        """The switch of this system; None where it has no such thing."""
        desktop = desktop or Desktop()
        launch = launch or this_one()
        if desktop.system == "win32":
            return RunKey(launch, desktop)
        if desktop.system == "darwin":
            return LaunchAgent(launch, desktop)
        return Autostart(launch, desktop) if desktop.system not in ("emscripten", "wasi", "android", "ios") else None

    @abstractmethod
    def enabled(self) -> bool:
        """Whether a tray will start at the next login, as far as the system tells."""

    @abstractmethod
    def disable(self) -> None:
        """Start at login no more; no error where it did not."""

    @abstractmethod
    def _read(self) -> Launch | None:
        """What the entry starts; None where there is none, or none that can be read."""

    @abstractmethod
    def _write(self, launch: Launch) -> None:
        """Make the entry, switched on."""

    def enable(self) -> None:
        """Start this tray at login, in place of whatever the entry started before."""
        self._write(self._launch)

    def repair(self) -> bool:
        """Where it is enabled but the installation moved: let the entry start this one. Whether anything was changed."""
        if not self.enabled():
            return False
        found = self._read()
        wanted = mended(found, self._launch, _exists)
        if wanted == found:
            return False
        self._write(wanted)
        return True


def _exists(place: str) -> bool:
    return Path(place).is_dir() or shutil.which(place) is not None


class Autostart(LoginStart):
    """A desktop entry in the autostart folder: GNOME, KDE, Xfce, and the others that keep to the standard."""

    @property
    def path(self) -> Path:
        """The entry."""
        return self._desktop.config / "autostart" / "ondol.desktop"

    def enabled(self) -> bool:
        """There is an entry, and neither standard way of switching it off was used."""
        found = self._values()
        return bool(found) and found.get("Hidden") != "true" and found.get("X-GNOME-Autostart-enabled") != "false"

    def disable(self) -> None:
        """Remove the entry."""
        try:
            remove(self.path)
        except OSError as error:
            raise foreign(error) from error

    def _read(self) -> Launch | None:
        return parse(desktop_entry.exec_words(self._values().get("Exec", "")))

    def _write(self, launch: Launch) -> None:
        entry = desktop_entry.of_ondol(launch, {"NoDisplay": "true", "X-GNOME-Autostart-enabled": "true"})
        atomic_file.write(self.path, entry, mode=0o644)

    def _values(self) -> dict[str, str]:
        try:
            return desktop_entry.values(self.path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise foreign(error) from error


class LaunchAgent(LoginStart):
    """A property list that launchd reads at login. It isn't loaded at once: that would start a second tray now."""

    @property
    def path(self) -> Path:
        """The property list."""
        return self._desktop.user_home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    def enabled(self) -> bool:
        """There is a property list, and its label isn't switched off (System Settings, General, Login Items)."""
        if self._read() is None:
            return False
        status, said = self._desktop.run(["launchctl", "print-disabled", self._domain])
        return status != 0 or re.search(rf'"{re.escape(LABEL)}"\s*=>\s*(?:true|disabled)\b', said) is None

    def disable(self) -> None:
        """Remove the property list."""
        try:
            remove(self.path)
        except OSError as error:
            raise foreign(error) from error

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"

    def _read(self) -> Launch | None:
        try:
            found = plistlib.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise foreign(error) from error
        except (plistlib.InvalidFileException, ExpatError, ValueError, LookupError):
            return None
        line = found.get("ProgramArguments") if isinstance(found, dict) else None
        return parse([str(word) for word in line]) if isinstance(line, list) else None

    def _write(self, launch: Launch) -> None:
        content = {
            "Label": LABEL,
            "ProgramArguments": launch.line,
            "RunAtLoad": True,
            "ProcessType": "Interactive",
            "LimitLoadToSessionType": "Aqua",
        }
        atomic_file.write(self.path, plistlib.dumps(content).decode(), mode=0o644)
        # One that was switched off in the system's settings stays off whatever the file says. An older macOS has no such switch.
        self._desktop.run(["launchctl", "enable", f"{self._domain}/{LABEL}"])


class RunKey(LoginStart):
    """A value under the user's Run key, as Task Manager's start-up page shows it."""

    def enabled(self) -> bool:
        """There is a value, and Task Manager has not switched it off (an odd first byte in its own value)."""
        if self._get(RUN) is None:
            return False
        switch = self._get(APPROVED)
        return not (isinstance(switch, bytes) and switch and switch[0] % 2)

    def disable(self) -> None:
        """Remove the value, and Task Manager's."""
        self._remove(RUN)
        self._remove(APPROVED)

    def _read(self) -> Launch | None:
        found = self._get(RUN)
        return parse(registry.words(found)) if isinstance(found, str) else None

    def _write(self, launch: Launch) -> None:
        line = subprocess.list2cmdline(launch.line)
        if len(line) > LONGEST_RUN:
            raise OndolError(
                f"Windows starts commands of up to {LONGEST_RUN} characters at login, and Ondol's has {len(line)}.",
                hint="Install it, or keep its data, in a folder with a shorter path.",
            )
        try:
            self._desktop.registry().write(RUN, NAME, line)
        except OSError as error:
            raise foreign(error) from error
        self._remove(APPROVED)

    def _get(self, key: str) -> str | bytes | None:
        try:
            return self._desktop.registry().read(key, NAME)
        except OSError as error:
            raise foreign(error) from error

    def _remove(self, key: str) -> None:
        try:
            self._desktop.registry().remove(key, NAME)
        except OSError as error:
            raise foreign(error) from error
