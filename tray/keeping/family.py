"""The processes that one keeper has started, and theirs: known by a word in their environment, also after their parents have died.

A worker lives in a group of its own, a server may be killed before it has told of its workers, and a stopped one can't see that
its input has ended. So nobody is looked up by a remembered pid: who carries our word is ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from app.core.server_record import born

VARIABLE = "ONDOL_KEPT_BY"
_POLITE, _FORCED = 2.0, 2.0  # seconds for SIGTERM, and for SIGKILL


class Family:
    """All processes over one home that a keeper started. A word reads `HOME_TRAYPID_TRAYBORN_KEEPER.RUN`."""

    def __init__(self, home: Path) -> None:
        self._home = hashlib.sha256(os.fsencode(os.path.normcase(home.absolute()))).hexdigest()[:16]
        self._mine = f"{self._home}.{os.getpid()}.{born(os.getpid()) or 0:.2f}.{secrets.token_hex(4)}".replace(".", "_")

    def environment(self, run: int) -> dict[str, str]:
        """What a process of this run is started with."""
        return {VARIABLE: f"{self._mine}.{run}"}

    def of(self, run: int) -> list[psutil.Process]:
        """Who lives of a run."""
        return [process for process, word in self._all() if word == f"{self._mine}.{run}"]

    def left(self, living: int | None) -> list[psutil.Process]:
        """Who lives of this keeper's other runs than `living`, and of keepers whose tray has died."""
        return [
            process
            for process, word in self._all()
            if (word.rpartition(".")[0] == self._mine and word != f"{self._mine}.{living}")
            or (word.rpartition(".")[0] != self._mine and not _tray_lives(word))
        ]

    def _all(self) -> Iterator[tuple[psutil.Process, str]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                word = process.environ().get(VARIABLE, "")
                if word.startswith(f"{self._home}_") and process.pid != os.getpid():
                    yield process, word


def end(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """Let them end by themselves for `patience` seconds, then ask, then kill. Returns those that even so live on."""
    resume(processes)
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for send, seconds in ((psutil.Process.terminate, _POLITE), (psutil.Process.kill, _FORCED)):
        for process in alive:
            with contextlib.suppress(psutil.Error):
                send(process)
        _, alive = psutil.wait_procs(alive, timeout=seconds if alive else 0)
    return [process for process in alive if not _is_dead(process)]


def resume(processes: list[psutil.Process]) -> None:
    """Wake who stands still: a stopped process neither reads the end of its input nor a polite signal."""
    if sys.platform != "win32":
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)


def kill(processes: list[psutil.Process]) -> None:
    """End them at once."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _is_dead(process: psutil.Process) -> bool:
    """A zombie is: its parent has only not heard of it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _tray_lives(word: str) -> bool:
    with contextlib.suppress(ValueError, IndexError):
        _, pid, whole, part, _ = word.rpartition(".")[0].split("_")
        began = born(int(pid))
        return began is not None and abs(began - float(f"{whole}.{part}")) < 0.5
    return False
