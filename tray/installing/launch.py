"""How this tray is started again: by the desktop at login, by the menu entry, by systemd. Pure but for `this_one`.

The interpreter and the module, not the script beside them: a script names an interpreter of its own, which a moved environment
leaves behind, and `-P` keeps a folder called `app` or `tray` in the user's home from being taken for ours. What the
environment said (the data folder, the settings file) is said again on the line, for a login starts without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.errors import BadSetting

MODULE = ("-P", "-m", "tray.main")


@dataclass(frozen=True)
class Launch:
    """A command line of the tray. `home` and `config` are absolute paths, "" for the platform's own places."""

    program: str
    arguments: tuple[str, ...] = MODULE
    home: str = ""
    config: str = ""
    headless: bool = False

    @property
    def line(self) -> list[str]:
        """The words of the command."""
        named = [word for flag, value in (("--home", self.home), ("--config", self.config)) if value for word in (flag, value)]
        return [self.program, *self.arguments, *named, *(("--headless",) if self.headless else ())]


def this_one(environ: Mapping[str, str] = os.environ, *, executable: str = sys.executable, headless: bool = False) -> Launch:
    """The tray of this installation over the data folder that is in force. BadSetting where a path can't be written on a line."""
    named = {name: str(Path(environ[name]).expanduser().absolute()) for name in ("ONDOL_HOME", "ONDOL_CONFIG") if environ.get(name)}
    launch = Launch(_without_console(executable), home=named.get("ONDOL_HOME", ""), config=named.get("ONDOL_CONFIG", ""), headless=headless)
    if any(not letter.isprintable() for word in launch.line for letter in word):
        raise BadSetting(
            "A path of Ondol holds a line break or another letter that can't be shown.", hint="Rename the folder, then try again."
        )
    return launch


def parse(line: Sequence[str]) -> Launch | None:
    """The command that a line stands for; None where it isn't one of ours."""
    words = list(line)
    if not words:
        return None
    program, rest = words[0], words[1:]
    flags = {"--home": "", "--config": ""}
    arguments: list[str] = []
    headless = False
    while rest:
        word = rest.pop(0)
        if word in flags and rest:
            flags[word] = rest.pop(0)
        elif word == "--headless":
            headless = True
        else:
            arguments.append(word)
    return Launch(program, tuple(arguments), flags["--home"], flags["--config"], headless)


def mended(entry: Launch | None, ours: Launch, exists: Callable[[str], bool]) -> Launch:
    """What an entry that starts at login should start, so that it starts something and keeps what its user chose.

    Over our data folder: this installation, the one in use. Over another's: left as it is while its program is there; where
    that has gone, this program over that folder, or over ours where that has gone too.
    """
    if entry is None:
        return ours
    ours = replace(ours, headless=entry.headless)
    if entry.home == ours.home:
        return ours
    if exists(entry.program):
        return entry
    return replace(ours, home=entry.home, config=entry.config) if not entry.home or exists(entry.home) else ours


def _without_console(executable: str) -> str:
    """Beside `python.exe` stands `pythonw.exe`, which opens no black window."""
    path = Path(executable)
    if path.name.lower() == "python.exe":
        quiet = path.with_name("pythonw.exe")
        return str(quiet if quiet.exists() else path)
    return executable
