"""The matrix's rows in files, mapped: they cost memory only while they are read, and the next process finds them there.

    exact-g3.json                        which rows count: written last, replaced in one step
    exact-g3-1763811234.keys / .rows     int64 and float32, little endian; longer than counted after a kill, never shorter

A full disk ends the cache, not the search: the rows go on in memory.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.index import files
from ingest.index.book_view import Generation
from ingest.index.matrix import Keys, Memory, Rows

log = logging.getLogger(__name__)

_NAME = re.compile(r"exact-g(\d+)[-.]")


class Head(msgspec.Struct, frozen=True):
    """What counts of the two files that begin with `stem`."""

    identity: str
    stem: str
    rows: int
    live: int
    seq: int


class Mapped:
    """Rows in files under the index folder, whose owner this process is."""

    def __init__(self, folder: Path, of: Generation) -> None:
        self._folder, self._of = folder, of
        self._head = folder / f"exact-g{of.id}.json"
        self._memory: Memory | None = None
        head = files.read(self._head, Head)
        if head is None or head.identity != of.identity or not self._open(head.stem, head.rows, head.seq) or not self._sound(head.live):
            self.clear()
        self._sweep()

    def _paths(self, stem: str) -> tuple[Path, Path]:
        return self._folder / f"{stem}.keys", self._folder / f"{stem}.rows"

    def _open(self, stem: str, count: int, seq: int) -> bool:
        """Map the first `count` rows; False where the files are shorter than that."""
        keys, rows = self._paths(stem)
        width = 4 * self._of.dimensions
        try:
            if keys.stat().st_size < 8 * count or rows.stat().st_size < width * count:
                return False
            self.keys: Keys = np.memmap(keys, dtype="<i8", mode="r+", shape=(count,)) if count else np.zeros(0, dtype=np.int64)
            shape = (count, self._of.dimensions)
            self.rows: Rows = np.memmap(rows, dtype="<f4", mode="r", shape=shape) if count else np.zeros(shape, dtype=np.float32)
        except OSError:
            return False
        self._stem, self.seq = stem, seq
        return True

    def _sound(self, live: int) -> bool:
        """Whether the rows are what was written: as many live keys, and each row of length 1 (a zeroed page has none)."""
        alive = self.keys != 0
        if int(np.count_nonzero(alive)) != live or len(np.unique(self.keys[alive])) != live:
            return False
        return bool(np.all(_whole(self.rows)[alive]))

    def clear(self) -> None:
        """Begin again in new files; -1: nothing was taken in."""
        stem = f"exact-g{self._of.id}-{time.time_ns()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in self._paths(stem):
                path.touch()
            self._open(stem, 0, -1)
            self._memory = None
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("the exact index stays in memory: its file can't be written (%s)", error)
        memory = Memory(self._of.dimensions)
        if hasattr(self, "keys"):
            memory.append(np.array(self.keys), np.array(self.rows))
            memory.seq = self.seq
        self._memory, self.keys, self.rows, self.seq = memory, memory.keys, memory.rows, memory.seq

    def append(self, keys: Keys, rows: Rows) -> None:
        """Add rows at the end of the files."""
        if self._memory is None:
            try:
                self._write(keys, rows)
            except OSError as error:
                self._give_up(error)
            else:
                return
        assert self._memory is not None
        self._memory.append(keys, rows)
        self.keys, self.rows = self._memory.keys, self._memory.rows

    def _write(self, keys: Keys, rows: Rows) -> None:
        count = len(self.keys)
        key_path, row_path = self._paths(self._stem)
        for path, data, at in ((row_path, rows.astype("<f4"), 4 * self._of.dimensions * count), (key_path, keys.astype("<i8"), 8 * count)):
            with path.open("r+b") as file:
                file.seek(at)
                file.write(data.tobytes())
        if not self._open(self._stem, count + len(keys), self.seq):
            raise OSError(f"{row_path} is shorter than what was written to it")

    def commit(self, seq: int) -> None:
        """The rows count from now on, as of the outbox's number `seq`."""
        self.seq = seq
        if self._memory is not None:
            self._memory.seq = seq
            return
        try:
            files.write(self._head, Head(self._of.identity, self._stem, len(self.keys), int(np.count_nonzero(self.keys)), seq))
        except OSError as error:
            self._give_up(error)

    def _sweep(self) -> None:
        """Remove what earlier builds left. Another process may still map a file: then it goes the next time."""
        for path in self._folder.glob(f"exact-g{self._of.id}-*"):
            if self._memory is not None or path.stem != self._stem:
                files.remove(path)


def load(folder: Path, of: Generation) -> Memory:
    """The rows that the folder's owner last committed, copied into memory; empty where there are none that fit."""
    memory = Memory(of.dimensions)
    head = files.read(folder / f"exact-g{of.id}.json", Head)
    if head is None or head.identity != of.identity:
        return memory
    try:
        keys = np.fromfile(folder / f"{head.stem}.keys", dtype="<i8", count=head.rows)
        rows = np.fromfile(folder / f"{head.stem}.rows", dtype="<f4", count=head.rows * of.dimensions)
    except OSError:
        return memory
    if len(keys) == head.rows and len(rows) == head.rows * of.dimensions:
        matrix = rows.reshape(head.rows, of.dimensions).astype(np.float32)
        memory.append(np.where(_whole(matrix), keys, 0).astype(np.int64), matrix)
    return memory


def _whole(rows: Rows) -> NDArray[np.bool_]:
    """Which rows have length 1: a page that was zeroed or torn has not."""
    with np.errstate(all="ignore"):
        lengths = np.einsum("ij,ij->i", rows, rows)
    return np.asarray(np.abs(lengths - 1.0) < 0.05)


def sweep_matrices(folder: Path, generations: Collection[int]) -> None:
    """Remove the files of generations that the book no longer has."""
    for path in folder.glob("exact-g*"):
        match = _NAME.match(path.name)
        if match is not None and int(match[1]) not in generations:
            files.remove(path)
