"""A stranger's program (a model's chat template) in this process, with an end: so many seconds, and so much more memory.

Time: a watching thread raises `Overtime` in the thread that works, so whatever is written in Python ends. Memory, on Linux: the process
may not map more than so many bytes beyond what it has, and the work gets a MemoryError.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Overtime(BaseException):
    """The work took too long. No `Exception`: what the work itself catches must not keep it alive."""


class Bounds:
    """`run` is for one thread at a time. The watching thread begins with the first run, and sleeps between two."""

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds, self._memory = seconds, memory
        # A lock and not a condition, whose methods are written in Python: an `Overtime` in the middle of one would leave it locked.
        self._lock, self._begun = threading.Lock(), threading.Event()
        self._until: float | None = None
        self._worker, self._sent = 0, False
        self._watching: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """What the work returns. TimeoutError or MemoryError where it takes too much of the one or the other."""
        if self._watching is None:
            self._watching = threading.Thread(target=self._watch, name="bounds", daemon=True)
            self._watching.start()
        try:
            with _less_memory(self._memory):
                with self._lock:
                    self._worker, self._until = threading.get_ident(), time.monotonic() + self._seconds
                self._begun.set()
                try:
                    return work()
                finally:
                    self._end()
        except Overtime:
            raise TimeoutError(f"it did not end within {self._seconds:g} s") from None
        except MemoryError:
            raise MemoryError(f"it took more than {self._memory >> 20} MB of memory") from None

    def _end(self) -> None:
        while True:
            try:
                with self._lock:
                    self._until = None
                    sent, self._sent = self._sent, False
                if sent:
                    # One that has not arrived yet would hit whatever comes next. Taken back, CPython 3.11 would look for it ever after,
                    # at each call, and without an end under a profiler: so one in its place is waited for.
                    _send(self._worker)
                    while True:
                        time.sleep(0)
                return
            except Overtime:
                continue

    def _watch(self) -> None:
        while True:
            with self._lock:
                left = None if self._until is None else self._until - time.monotonic()
                if left is None:
                    self._begun.clear()
                elif left <= 0:
                    self._sent = True
                    _send(self._worker)
                    # Again, should the work have swallowed it.
                    self._until = time.monotonic() + 0.1
            if left is None:
                self._begun.wait()
            elif left > 0:
                time.sleep(min(left, 0.5))


def _send(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Overtime))


if sys.platform == "linux":
    import resource

    @contextlib.contextmanager
    def _less_memory(more: int) -> Iterator[None]:
        """While the block runs the process may map only `more` bytes beyond what it has mapped."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = _mapped() + more
        lower = limit if soft == resource.RLIM_INFINITY else min(soft, limit)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (lower, hard))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def _mapped() -> int:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # read with every chat
            return int(file.read().split()[0]) * resource.getpagesize()

else:

    @contextlib.contextmanager
    def _less_memory(more: int) -> Iterator[None]:
        """There is no such limit here."""
        del more
        yield
