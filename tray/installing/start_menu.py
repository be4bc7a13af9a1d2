"""The Start menu of Windows: a shortcut, which Windows itself makes at the request of a PowerShell child."""

from __future__ import annotations

import base64
import ntpath
import re
import subprocess
from pathlib import Path

from app.core.errors import OndolError, foreign
from tray.installing import app_icon
from tray.installing.launch import Launch
from tray.installing.places import Desktop, remove, write_bytes
from tray.installing.product import COMMENT, COMMENT_KO, NAME, NAME_KO

_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")  # PowerShell takes each of them for a quote


class StartMenu:
    """The shortcut of one user. Its name follows the language at install; the search of the Start menu goes by it."""

    def __init__(self, desktop: Desktop, draw: app_icon.Draw = app_icon.drawn) -> None:
        self._desktop, self._draw = desktop, draw
        folder = desktop.roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs"
        self.shortcuts = {"en": folder / f"{NAME}.lnk", "ko": folder / f"{NAME_KO} ({NAME}).lnk"}
        local = desktop.environ.get("LOCALAPPDATA")
        self.icon = (Path(local) if local else desktop.user_home / "AppData" / "Local") / "ondol" / "ondol.ico"

    def add(self, launch: Launch, language: str) -> list[Path]:
        """Write the icon, have the shortcut made, and remove the one in the other language. OndolError with what PowerShell said."""
        wanted = self.shortcuts["ko" if language == "ko" else "en"]
        # WScript can't save under a name outside the system's code page: under a plain one first.
        plain = wanted.with_name("ondol-new.lnk")
        write_bytes(self.icon, app_icon.ico(self._draw))
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            remove(plain)
            status, said = self._desktop.run(powershell(script(launch, plain, self.icon, COMMENT_KO if language == "ko" else COMMENT)))
            if status != 0 or not plain.exists():
                raise OndolError(
                    f"Windows did not make the shortcut: {said or status}.", hint="Start it with `ondol tray`, and pin it to the taskbar."
                )
            plain.replace(wanted)
            for other in self.shortcuts.values():
                if other != wanted:
                    remove(other)
        except OSError as error:
            raise foreign(error) from error
        return [wanted, self.icon]

    def remove(self) -> list[Path]:
        """Remove both."""
        try:
            return [path for path in (*self.shortcuts.values(), self.icon) if remove(path)]
        except OSError as error:
            raise foreign(error) from error


def script(launch: Launch, shortcut: Path, icon: Path, comment: str) -> str:
    """What PowerShell is to do."""
    program, *arguments = launch.line
    values = {
        "TargetPath": program,
        "Arguments": subprocess.list2cmdline(arguments),
        # Not the folder that the installer happened to stand in.
        "WorkingDirectory": ntpath.dirname(program),
        "IconLocation": f"{icon},0",
        "Description": comment,
    }
    lines = [f"$shortcut.{name} = {_literal(value)}" for name, value in values.items()]
    return "\n".join(
        [
            "$ErrorActionPreference = 'Stop'",
            f"$shortcut = (New-Object -ComObject WScript.Shell).CreateShortcut({_literal(str(shortcut))})",
            *lines,
            "$shortcut.Save()",
        ]
    )


def powershell(script: str) -> list[str]:
    """The command line that runs a script: encoded, so that no quoting and no code page comes between."""
    encoded = base64.b64encode(script.encode("utf-16-le")).decode()
    return ["powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded]


def _literal(text: str) -> str:
    return "'" + _QUOTES.sub(r"\1\1", text) + "'"
