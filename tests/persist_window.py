"""The moments in which Chroma writes its graph to the disk, seen from outside: who is killed inside leaves some files new and others old.

It does so after every thousand changes: `header.bin`, `data_level0.bin`, `length.bin` and `link_lists.bin` in place, then
`index_metadata.pickle`, which says what the others mean.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

LAST = "index_metadata.pickle"
SLICE = 0.0002, 0.0012
"""Seconds that the worker goes on between two looks; all of this takes it a few milliseconds."""
Files = dict[str, tuple[int, int]]


@contextlib.contextmanager
def persist_window(index: Path, worker: int, chance: random.Random, ahead: Callable[[], int], over: Callable[[], bool]) -> Iterator[bool]:
    """Wait until the index worker writes its graph; inside the block it stands still there. False: it had nothing to write until `over`.

    While it has changes `ahead`, it is let go on in slices of random length and looked at while it stands still: so no window is missed,
    on a busy machine either.
    """
    inside = False
    while not ahead() and not over():
        time.sleep(0.02)
    before = _files(index)
    while not inside and psutil.pid_exists(worker) and not (over() and not ahead()):
        _go_on(worker)
        time.sleep(chance.uniform(*SLICE))
        _stop(worker)
        now = _files(index)
        # A new graph, empty so far, is no window.
        inside = now.keys() == before.keys() and _torn(before, now)
        before = now
    try:
        yield inside
    finally:
        _go_on(worker)


def _files(index: Path) -> Files:
    """Time and size of each file of each graph below the index folder."""
    found: Files = {}
    for path in index.glob("s*-g*-*/*-*/*"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found[str(path)] = stat.st_mtime_ns, stat.st_size
    return found


def _torn(before: Files, now: Files) -> bool:
    """Whether some of a graph's files are new and the one that is written last is not."""
    changed = {path for path in now if now[path] != before.get(path)}
    return bool(changed) and not any(path.endswith(LAST) for path in changed)


def _stop(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(worker, signal.SIGSTOP)
        while psutil.Process(worker).status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            time.sleep(0.0002)


def _go_on(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)
