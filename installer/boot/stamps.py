"""What is already done: one small file per step, whose text is a hash of everything that the step depends on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


def key_of(*inputs: Any) -> str:
    """A short hash of plain values; the same values give the same key on every machine."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:24]


class Stamps:
    """The stamps of one clone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def done(self, name: str, key: str) -> bool:
        """Whether the step was done with these inputs."""
        try:
            return (self._folder / name).read_text(encoding="ascii").strip() == key
        except (OSError, UnicodeDecodeError):
            return False

    def mark(self, name: str, key: str) -> None:
        """Remember it. Atomic: after a crash the stamp is there with its whole text, or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{name}.{os.getpid()}"
        fresh.write_text(key, encoding="ascii")
        fresh.replace(self._folder / name)

    def forget(self, name: str) -> None:
        """The step is under way, or no longer true."""
        (self._folder / name).unlink(missing_ok=True)


class Busy(Exception):
    """Another bootstrap of this clone holds the lock."""


class Lock:
    """One bootstrap at a time in one clone; the operating system frees the lock when its holder dies.

    `on_wait` None: a held lock raises `Busy`; else it is called once and the lock is waited for.
    """

    def __init__(self, path: Path, on_wait: Callable[[], None] | None) -> None:
        self._path, self._on_wait = path, on_wait
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="ascii")
        told = False
        while not _try_lock(file):
            if self._on_wait is None:
                file.close()
                raise Busy(str(self._path))
            if not told:
                self._on_wait()
            told = True
            time.sleep(0.5)
        self._file = file
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
