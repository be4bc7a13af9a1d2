"""The systemd unit of a user: Ondol without an icon, started with the user's own manager. The unit itself is `systemd/ondol.service`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.core import atomic_file
from app.core.errors import foreign
from tray.installing.launch import Launch
from tray.installing.places import Desktop, remove

SHIPPED = Path(__file__).parents[1] / "systemd" / "ondol.service"
NAME = SHIPPED.name


def text(launch: Launch) -> str:
    """The shipped unit, which starts this installation."""
    line = exec_start(replace(launch, headless=True).line)
    shipped = SHIPPED.read_text(encoding="utf-8").splitlines()
    return "\n".join(f"ExecStart={line}" if one.startswith("ExecStart=") else one for one in shipped) + "\n"


def exec_start(words: Sequence[str]) -> str:
    """A command as systemd reads it: `%` and, after the program, `$` mean something to it."""
    quoted = []
    for place, word in enumerate(words):
        word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        quoted.append('"' + (word.replace("$", "$$") if place else word) + '"')
    return " ".join(quoted)


class UserUnit:
    """The unit in its place. OndolError where the folder can't be written."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        folder = desktop.config / "systemd" / "user"
        self.path = folder / NAME
        # The link is all that `systemctl enable` makes, and can be made where no manager runs.
        self.link = folder / "default.target.wants" / NAME

    def install(self, launch: Launch) -> list[str]:
        """Put it in place and switched on, and start it where the user's manager runs. What its user should know, in sentences."""
        atomic_file.write(self.path, text(launch), mode=0o644)
        try:
            self.link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self.link.unlink()
            self.link.symlink_to(Path("..") / NAME)
        except OSError as error:
            raise foreign(error) from error
        for words in (["daemon-reload"], ["restart", NAME]):
            status, said = self._desktop.run(["systemctl", "--user", *words])
            if status != 0:
                return [f"systemd's user manager could not be asked ({said}): Ondol starts with it at the next login.", LINGER]
        return ["It runs now: `systemctl --user status ondol`, `journalctl --user -u ondol`.", LINGER]

    def uninstall(self) -> list[Path]:
        """Stop it and take it away; nothing where it isn't there. The files that were removed."""
        if not self.path.exists() and not self.link.is_symlink():
            return []
        self._desktop.run(["systemctl", "--user", "stop", NAME])
        try:
            removed = [path for path in (self.link, self.path) if remove(path)]
        except OSError as error:
            raise foreign(error) from error
        self._desktop.run(["systemctl", "--user", "daemon-reload"])
        return removed


LINGER = "It starts when you log in; to have it from the machine's start on: `loginctl enable-linger`."
