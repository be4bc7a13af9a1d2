"""One owner of a thing across processes: a lock file that the operating system frees when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from app.core.errors import Conflict, foreign

HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})


class FileLock:
    """An exclusive lock on `path`, whose text says who holds it. Not re-entrant.

    `wait` None: wait for ever; 0: raise Conflict at once. `on_wait` is called once, with what the file says, before waiting.
    """

    def __init__(self, path: Path, *, wait: float | None = None, who: str = "", on_wait: Callable[[str], None] | None = None) -> None:
        self.path, self._wait, self._who, self._on_wait = path, wait, who, on_wait
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise foreign(error) from error
        try:
            self._acquire(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        with contextlib.suppress(OSError):  # a courtesy to those who wait; the lock is held without it
            self._note.write_text(f"{self._who or 'another process'} (pid {os.getpid()})", encoding="utf-8")
        return self

    def _acquire(self, file: IO[str]) -> None:
        began = time.monotonic()
        told = False
        while not _try_lock(file):
            holder = self._holder()
            if self._wait is not None and time.monotonic() - began >= self._wait:
                raise Conflict(f"{self.path.stem} is in use by {holder}.", hint="Wait until it ends, then try again.")
            if not told and self._on_wait is not None:
                self._on_wait(holder)
            told = True
            time.sleep(0.1)

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".who")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            _unlock(self._file)
            self._file.close()
            self._file = None

    def _holder(self) -> str:
        try:
            return self._note.read_text(encoding="utf-8") or "another process"
        except (OSError, UnicodeDecodeError):
            return "another process"


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in HELD:
                raise foreign(error) from error
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:  # a file system without locks: waiting would never end
                raise foreign(error) from error
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
