"""The page that runs over this home, as `open-webui/running.json` says: so that a second start finds it, and a leftover is ended."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import psutil

from app.core import atomic_file

NAME = "running.json"
SAME_SECONDS = 2.0  # clocks are set a little, and some systems count processes' starts in seconds


class PageRecord(msgspec.Struct, frozen=True):
    """One Open WebUI: the first process of its group, when that began, and its port."""

    pid: int
    born: float
    port: int

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the very process lives: an id may have been given to another since."""
        born = _born(self.pid)
        return born is not None and abs(born - self.born) < SAME_SECONDS


def announce(folder: Path, pid: int, port: int) -> PageRecord:
    """Write what has been started."""
    record = PageRecord(pid, _born(pid) or 0.0, port)
    atomic_file.write(folder / NAME, msgspec.json.encode(record).decode())
    return record


def read(folder: Path) -> PageRecord | None:
    """What was started last; None where that ended in order, or never was."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=PageRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def withdraw(folder: Path) -> None:
    """Nothing runs any more."""
    with contextlib.suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)


def _born(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
