"""Whose desktop this is: the system, the user's folders and environment, and how commands are run there. Handed in by tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.core.errors import OndolError, foreign
from tray.installing.registry import Registry, of_this_user

Run = Callable[[Sequence[str]], tuple[int, str]]
COMMAND_SECONDS = 30


def run(line: Sequence[str]) -> tuple[int, str]:
    """A command's exit status and what it printed, without a console window; 127 where it can't be started, 124 where it hangs."""
    try:
        done = subprocess.run(
            list(line),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        return 124, f"{line[0]} did not end"
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _user_home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without a name, as in some containers
        raise OndolError("This user has no home folder.", hint="Set HOME to one.") from None


@dataclass(frozen=True)
class Desktop:
    """One user's desktop. `system` is `linux` (and every other Unix), `darwin` or `win32`, as `sys.platform` says it."""

    system: str = sys.platform
    user_home: Path = field(default_factory=_user_home)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    run: Run = run
    registry: Callable[[], Registry] = of_this_user

    def _xdg(self, name: str, instead: str) -> Path:
        named = self.environ.get(name, "")
        # The standard says that a relative path is to be ignored.
        return Path(named) if named.startswith("/") else self.user_home / instead

    @property
    def config(self) -> Path:
        """Where a user's settings lie on a freedesktop system."""
        return self._xdg("XDG_CONFIG_HOME", ".config")

    @property
    def data(self) -> Path:
        """Where a user's own applications and icons lie on a freedesktop system."""
        return self._xdg("XDG_DATA_HOME", ".local/share")

    @property
    def roaming(self) -> Path:
        """Where the Start menu lies on Windows."""
        return Path(self.environ.get("APPDATA") or self.user_home / "AppData" / "Roaming")


def remove(path: Path) -> bool:
    """Take a file away; whether there was one. PermissionError and the like where it can't be."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by `content` in one step, its folders made. DiskFull or another OndolError on failure."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise foreign(error) from error
