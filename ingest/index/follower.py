"""One generation's Chroma directory, following the book.

    opening -> filling -> following        anything wrong: -> opening, in a new directory

- *opening*: in a thread, the newest directory is probed in another process and opened; where none can be trusted, a new
  one is made. Meanwhile nothing blocks.
- *filling*: its ids are compared with the book's; what is missing is put and what is too much is dropped, in batches. That
  is the rebuild from the book too: of an empty directory everything is missing. Nothing is embedded.
- *following*: batches of the outbox, each made durable by Chroma before the position is written, so that a process killed
  in between repeats a batch, which changes nothing.

Entries never change (a chunk's key is used once), so equal ids are an equal index.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ingest.index import book_view, directory, files, probe
from ingest.index.book_view import Generation
from ingest.index.contract import IndexDamaged
from ingest.index.files import Position

if TYPE_CHECKING:
    from ingest.index.chroma import ChromaIndex

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.04
"""How long a batch may take: a query that comes in waits for it."""
LARGEST_BATCH, SMALLEST_BATCH = 100, 25
SAMPLE = 48
"""Chunks that a probe asks for, of the newest and of all."""
PROBE_TIMEOUT = 120.0
LEAST_FREE = 64 * 1024 * 1024
"""Bytes below which an error is laid to the full disk and not to the directory."""
_TRIAL = "trial.json"
_TRIALS = 3
"""A first batch that ended this many processes says that the directory is damaged where a probe doesn't look."""


class Phase(StrEnum):
    """Where a follower stands."""

    OPENING = "opening"
    FILLING = "filling"
    FOLLOWING = "following"


class Opened(msgspec.Struct):
    """A trusted directory, open, with the ids that it holds."""

    path: Path
    index: ChromaIndex
    held: set[int]
    seq: int


class Trial(msgspec.Struct, frozen=True):
    """How often a process began the first batch into this directory without coming to its end."""

    count: int


class Follower:
    """For one thread; `executor` opens directories beside it."""

    def __init__(self, folder: Path, of: Generation, executor: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self.of, self.phase, self.seq = of, Phase.OPENING, -1
        self.path: Path | None = None
        self._folder, self._executor, self._clock = folder, executor, clock
        self._index: ChromaIndex | None = None
        self._opening: Future[Opened] | None = None
        self._fresh = False
        self._failures, self._not_before = 0, 0.0
        self._put: list[int] = []
        self._drop: list[int] = []
        self._entries = 0
        self._batch = 50
        self._trial = False

    @property
    def entries(self) -> int:
        """Chunks that Chroma holds."""
        return self._entries

    @property
    def waiting(self) -> int:
        """Chunks still to be put or dropped before it follows."""
        return len(self._put) + len(self._drop)

    def step(self, book: sqlite3.Connection) -> bool:
        """One small piece of work, inside the caller's snapshot; True if there is more to do at once."""
        try:
            if self.phase is Phase.OPENING:
                return self._open(book)
            if self.path is None or not (self.path / directory.POSITION).exists():
                raise IndexDamaged("its directory is gone")
            return self._fill(book) if self.phase is Phase.FILLING else self._follow(book)
        except (IndexDamaged, OSError) as error:
            self.distrust(error)
            return False

    def distrust(self, error: Exception) -> None:
        """Give the directory up and begin again in a new one; after a pause that grows where that fails too."""
        full = shutil.disk_usage(self._folder).free < LEAST_FREE if self._folder.is_dir() else False
        log.warning("the index of %s is given up%s: %s", self.of.store, " until the disk has room" if full else " and rebuilt", error)
        self.close()
        self._fresh = not full
        self._failures += 1
        self._not_before = self._clock() + (30.0 if full else min(60.0, 0.5 * 2**self._failures))

    def _open(self, book: sqlite3.Connection) -> bool:
        if self._opening is None:
            if self._clock() >= self._not_before:
                self._opening = self._executor.submit(self._trusted, self._sample(book), book_view.newest_seq(book))
            return False
        if not self._opening.done():
            return False
        ended, self._opening = self._opening, None
        opened = ended.result()
        newest, wanted = book_view.newest_seq(book), book_view.chunk_pks(book, self.of)
        expected = set(wanted)
        self._index, self.path = opened.index, opened.path
        self._put = [pk for pk in reversed(wanted) if pk not in opened.held]
        self._drop = list(opened.held - expected)
        self._entries = len(opened.held)
        self.seq, self.phase, self._trial = newest, Phase.FILLING, True
        return True

    def _sample(self, book: sqlite3.Connection) -> list[tuple[int, bytes]]:
        pks = book_view.chunk_pks(book, self.of)
        some = dict.fromkeys([*pks[-SAMPLE:], *pks[:: max(1, len(pks) // SAMPLE)]])
        return book_view.vectors(book, self.of, list(some))

    def _trusted(self, sample: Sequence[tuple[int, bytes]], newest_seq: int) -> Opened:
        """In a thread of its own: the newest directory if it is sound, else a new one."""
        from ingest.index.chroma import ChromaIndex

        self._folder.mkdir(parents=True, exist_ok=True)
        known = None if self._fresh else directory.newest(self._folder, self.of)
        if known is not None:
            path, position = known
            # A number from the future: the book was replaced by an older one, and keys may mean other chunks now.
            usable = position.seq <= newest_seq and _trials(path) < _TRIALS
            if usable and probe.sound(path, sample, PROBE_TIMEOUT):
                index = ChromaIndex(path)
                return Opened(path, index, set(index.pks()), position.seq)
            log.warning("the index directory %s can't be trusted and is rebuilt from the book", path.name)
        path = directory.create(self._folder, self.of)
        index = ChromaIndex(path)
        files.write(path / directory.POSITION, Position(self.of.identity, -1, 0))
        return Opened(path, index, set(), -1)

    def _fill(self, book: sqlite3.Connection) -> bool:
        if not self._put and not self._drop:
            self._write_position()
            self.phase, self._failures, self._fresh = Phase.FOLLOWING, 0, False
            log.info("the index of %s holds all %d chunks", self.of.store, self._entries)
            return True
        put = [self._put.pop() for _ in range(min(self._batch, len(self._put)))]
        drop = [self._drop.pop() for _ in range(min(self._batch - len(put), len(self._drop)))]
        self._write(book, put, drop)
        return True

    def _follow(self, book: sqlite3.Connection) -> bool:
        if book_view.newest_seq(book) < self.seq:
            raise IndexDamaged("the book was replaced by an older one")
        changes = book_view.changes(book, self.of.id, self.seq, self._batch)
        if not changes:
            return False
        last = {change.pk: change.put for change in changes}
        self._write(book, [pk for pk, put in last.items() if put], [pk for pk, put in last.items() if not put])
        self.seq = changes[-1].seq
        self._write_position()
        return len(changes) == self._batch

    def _write(self, book: sqlite3.Connection, put: Sequence[int], drop: Sequence[int]) -> None:
        assert self._index is not None
        began = self._clock()
        rows = [(pk, vector) for pk, vector in book_view.vectors(book, self.of, put) if len(vector) == 4 * self.of.dimensions]
        # A put whose chunk has gone again may stand in the index from an earlier, interrupted batch.
        gone = [*drop, *(set(put) - {pk for pk, _ in rows})]
        if self._trial and self.path is not None:
            files.write(self.path / _TRIAL, Trial(_trials(self.path) + 1))
        if gone:
            self._index.drop(gone)
        if rows:
            self._index.put(rows)
        self._entries = self._index.entries()
        if self._trial and self.path is not None:
            files.remove(self.path / _TRIAL)
            self._trial = False
        seconds = max(1e-4, self._clock() - began)
        self._batch = max(SMALLEST_BATCH, min(LARGEST_BATCH, int(self._batch * min(2.0, BATCH_SECONDS / seconds))))

    def _write_position(self) -> None:
        if self.path is not None:
            files.write(self.path / directory.POSITION, Position(self.of.identity, self.seq, self._entries))

    @property
    def index(self) -> ChromaIndex | None:
        """Chroma, where its answer is the book's as of `seq`; None while it is opened or filled."""
        return self._index if self.phase is Phase.FOLLOWING else None

    def close(self) -> None:
        """Let go of the directory, also of one that is still being opened."""
        if self._opening is not None:
            self._opening.add_done_callback(_release)
            self._opening = None
        if self._index is not None:
            with contextlib.suppress(IndexDamaged):
                self._index.close()
        self._index, self.path, self.phase, self.seq, self._entries = None, None, Phase.OPENING, -1, 0
        self._put, self._drop = [], []


def _trials(path: Path) -> int:
    trial = files.read(path / _TRIAL, Trial)
    return trial.count if trial else 0


def _release(opening: Future[Opened]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        with contextlib.suppress(IndexDamaged):
            opening.result().index.close()
