"""Small files that are whole or not there: written beside their place, synced, then moved onto it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from app.core.errors import foreign


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace `path` by `text` in one step; a reader sees the old text or the new. DiskFull or another OndolError on failure.

    The file has `mode` from its first byte on (Windows: what the folder gives).
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise foreign(error) from error


if sys.platform == "win32":

    def _replace(new: Path, old: Path) -> None:
        """A reader that has the old file open makes Windows refuse; readers of such files are quick."""
        for attempt in range(20):
            try:
                new.replace(old)
            except PermissionError:
                if attempt == 19:
                    raise
                time.sleep(0.05)
            else:
                return

else:

    def _replace(new: Path, old: Path) -> None:
        new.replace(old)
        # The name is part of what must survive a power cut.
        folder = os.open(old.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
