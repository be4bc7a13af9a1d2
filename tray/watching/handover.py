"""Hands things to other programs of this desktop: an address to the browser, a file or a folder to what opens it, a text to the clipboard.

Each answers whether it could; nothing waits for a program that stays open.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

COPY_SECONDS = 5.0
QUIET: dict[str, Any] = {
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
    "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0),
}


class Handover:
    """`system` as `sys.platform` says it; `which` finds a program on PATH; `browse` shows an address."""

    def __init__(
        self,
        system: str = sys.platform,
        environ: Mapping[str, str] = os.environ,
        *,
        which: Callable[[str], str | None] = shutil.which,
        browse: Callable[[str], bool] = webbrowser.open,
    ) -> None:
        self._system, self._environ, self._which, self._browse = system, environ, which, browse

    def show(self, url: str) -> bool:
        """Open an address in the browser."""
        # On a Unix without a screen one in the terminal would take it over.
        if not self._has_screen and not self._environ.get("BROWSER"):
            return False
        try:
            return self._browse(url)
        except webbrowser.Error:
            return False

    def open(self, path: Path) -> bool:
        """Open a folder in the file manager, a file in its own program."""
        if self._system == "win32":
            return _start_file(path)
        program = "open" if self._system == "darwin" else "xdg-open"
        if not self._has_screen or self._which(program) is None:
            return False
        try:
            process = subprocess.Popen([program, str(path)], stdin=subprocess.DEVNULL, start_new_session=True, **QUIET)
        except OSError:
            return False
        # It may stay as long as what it opened; somebody has to wait for it, else it stays as a zombie.
        threading.Thread(target=process.wait, name=program, daemon=True).start()
        return True

    def copy(self, text: str) -> bool:
        """Put a text on the clipboard. It goes through a pipe: every user of this machine may read command lines."""
        for line in copiers(self._system, self._environ):
            if self._which(line[0]) is None:
                continue
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                done = subprocess.run(line, input=text.encode(), timeout=COPY_SECONDS, check=False, **QUIET)
                if done.returncode == 0:
                    return True
        return False

    @property
    def _has_screen(self) -> bool:
        return self._system in ("win32", "darwin") or bool(self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY"))


def copiers(system: str, environ: Mapping[str, str]) -> list[Sequence[str]]:
    """The commands that take a text for the clipboard, best first."""
    if system == "win32":
        return [["clip.exe"]]
    if system == "darwin":
        return [["pbcopy"]]
    wayland = [["wl-copy"]] if environ.get("WAYLAND_DISPLAY") else []
    x11 = [["xclip", "-selection", "clipboard"], ["xsel", "--input", "--clipboard"]] if environ.get("DISPLAY") else []
    return [*wayland, *x11]


def _start_file(path: Path) -> bool:
    start = getattr(os, "startfile", None)  # Windows alone has it
    if start is None:
        return False
    try:
        start(str(path))
    except OSError:
        return False
    return True
