"""What the index worker does: it follows the book and answers vector queries, never stale and never down.

A query reads the book's newest changes first. Up to `EXACT_UP_TO` chunks the exact matrix answers: it takes some
milliseconds there, and Chroma's graph now and then loses a vector among others much like it, also one that was just added
(measured: 3 of 60 small stores of near-equal texts), where "acknowledged" has to mean "found". Above, Chroma answers where it follows
and little is undrained: its hits without the chunks that those changes touched, and an exact scan of their vectors. Else, and where the
asker may see a part only (Chroma's filters cost up to a second at this size), the matrix answers there too.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import StoreNotFound
from app.core.paths import Home
from ingest.index import book_view, directory
from ingest.index.book_view import Change, Generation
from ingest.index.contract import MOST_HITS, GenerationChanged, IndexDamaged
from ingest.index.follower import Follower
from ingest.index.matrix import Matrix, question_vector
from ingest.index.matrix_file import Mapped, sweep_matrices
from ingest.search.visible import Restriction

log = logging.getLogger(__name__)

EXACT_UP_TO = 100_000
"""Chunks up to which an exact scan (11 ms there) is worth more than a quicker answer that may lack a passage."""
FEW = 512
"""Undrained changes up to which Chroma's answer is completed by hand."""
POLL_SECONDS = 0.5
_REMEMBERED = 32
"""Restrictions whose chunks are remembered."""


class IndexService:
    """For one thread. The caller holds the lock on the index folder."""

    def __init__(self, home: Home, clock: Callable[[], float] = time.monotonic, *, exact_up_to: int = EXACT_UP_TO) -> None:
        self._home, self._clock, self._exact_up_to = home, clock, exact_up_to
        self._book: sqlite3.Connection | None = None
        self._file: object = None
        self._followers: dict[str, Follower] = {}
        self._matrices: dict[str, Matrix] = {}
        self._masks: dict[tuple[str, Restriction], tuple[tuple[int, int], NDArray[np.bool_]]] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="open")
        self._next_poll = 0.0
        self._turn = 0
        home.index.mkdir(parents=True, exist_ok=True)

    def query(self, store: str, vector: bytes, limit: int, allowed: Restriction | None, generation: str = "") -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first. StoreNotFound, BadRequest, GenerationChanged."""
        book = self._connect()
        with book_view.snapshot(book):
            of = book_view.generation(book, store)
            if of is None:
                return []
            if generation not in ("", of.identity):
                raise GenerationChanged()
            follower = self._followers.get(of.identity)
            matrix = self._matrix(book, of)
            large = matrix.entries > self._exact_up_to
            if large and allowed is None and follower is not None and limit <= MOST_HITS // 2:
                found = self._by_chroma(book, follower, vector, limit)
                if found is not None:
                    return found
            return matrix.search(vector, limit, self._mask(book, matrix, allowed))

    def _by_chroma(self, book: sqlite3.Connection, follower: Follower, vector: bytes, limit: int) -> list[tuple[int, float]] | None:
        """None where it can't answer now."""
        if follower.index is None or book_view.newest_seq(book) < follower.seq:
            return None
        changes = book_view.changes(book, follower.of.id, follower.seq, FEW + 1)
        if len(changes) > FEW:
            return None
        question = question_vector(vector, follower.of.dimensions)
        touched = {change.pk for change in changes}
        wide = limit + len(touched)
        if wide > MOST_HITS:
            return None
        try:
            hits = follower.index.query(question, wide)
        except IndexDamaged as error:
            follower.distrust(error)
            return None
        return _merged(hits, touched, _scanned(book, follower.of, changes, question), limit)

    def _matrix(self, book: sqlite3.Connection, of: Generation) -> Matrix:
        matrix = self._matrices.get(of.identity)
        if matrix is None:
            matrix = Matrix(of, Mapped(self._home.index, of))
            if not matrix.agrees(book):
                matrix.clear()
            matrix.compare(book)
            self._matrices[of.identity] = matrix
        matrix.follow(book)
        return matrix

    def _mask(self, book: sqlite3.Connection, matrix: Matrix, allowed: Restriction | None) -> NDArray[np.bool_] | None:
        if allowed is None:
            return None
        key = matrix.of.identity, allowed
        state = int(book.execute("PRAGMA data_version").fetchone()[0]), matrix.version
        remembered = self._masks.get(key)
        if remembered is None or remembered[0] != state:
            remembered = state, matrix.mask(book_view.allowed_pks(book, matrix.of.store_id, allowed.sql, allowed.values))
            self._masks.pop(key, None)
            if len(self._masks) >= _REMEMBERED:
                del self._masks[next(iter(self._masks))]
            self._masks[key] = remembered
        return remembered[1]

    def state(self) -> list[dict[str, Any]]:
        """One entry per store: what Chroma holds, what is still to come, and the bytes on the disk."""
        try:
            book = self._connect()
        except StoreNotFound:
            return []
        with book_view.snapshot(book):
            found = [(of, self._followers.get(of.identity)) for of in book_view.generations(book)]
            return [self._state(book, of, follower) for of, follower in found]

    def _state(self, book: sqlite3.Connection, of: Generation, follower: Follower | None) -> dict[str, Any]:
        wanted = len(book_view.chunk_pks(book, of))
        following = follower is not None and follower.index is not None
        after = follower.seq if follower is not None and following else 0
        return {
            "store": of.store,
            "generation": of.id,
            "model": of.model,
            "dimensions": of.dimensions,
            "chunks": wanted,
            "entries": follower.entries if follower else 0,
            "pending": book_view.pending(book, of.id, after) if following else wanted - (follower.entries if follower else 0),
            "phase": str(follower.phase) if follower else "opening",
            "rebuilding": not following,
            "bytes": directory.size(follower.path) if follower and follower.path else 0,
        }

    def refresh(self) -> None:
        """Look at the book at the next tick."""
        self._next_poll = 0.0

    def tick(self) -> bool:
        """One small piece of work; True if there is more to do at once."""
        try:
            book = self._connect()
        except StoreNotFound:
            return False
        if self._clock() >= self._next_poll:
            self._next_poll = self._clock() + POLL_SECONDS
            self._look(book)
        with book_view.snapshot(book):
            for follower in self._in_turn():
                # The matrix first: what Chroma has taken in can be pruned from the outbox.
                self._matrix(book, follower.of)
                if follower.step(book):
                    return True
        return False

    def _in_turn(self) -> list[Follower]:
        """All followers, another one first each time: a long rebuild of one store doesn't hold the others up."""
        followers = list(self._followers.values())
        self._turn = (self._turn + 1) % max(1, len(followers))
        return followers[self._turn :] + followers[: self._turn]

    def _look(self, book: sqlite3.Connection) -> None:
        """Follow the generations that the book has now, and leave those that it has no more."""
        current = {of.identity: of for of in book_view.generations(book)}
        for identity in [identity for identity in self._followers if identity not in current]:
            self._followers.pop(identity).close()
            self._matrices.pop(identity, None)
        for identity, of in current.items():
            if identity not in self._followers:
                self._followers[identity] = Follower(self._home.index, of, self._executor)
        used = [follower.path for follower in self._followers.values() if follower.path is not None]
        if len(used) == len(self._followers):
            directory.sweep(self._home.index, used)
            sweep_matrices(self._home.index, {of.id for of in current.values()})

    def _connect(self) -> sqlite3.Connection:
        """The book; opened again where its file was replaced by another, whose keys may mean something else."""
        path = self._home.book
        try:
            stat = path.stat()
            file: object = (stat.st_dev, stat.st_ino)
        except FileNotFoundError:
            file = None
        if self._book is None or file != self._file:
            self._forget()
            self._book, self._file = book_view.connect(path), file
        return self._book

    def _forget(self) -> None:
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()
        self._matrices.clear()
        self._masks.clear()
        if self._book is not None:
            self._book.close()
            self._book = None

    def close(self) -> None:
        """Let go of the book and of Chroma."""
        self._forget()
        self._executor.shutdown(cancel_futures=True)


def _scanned(book: sqlite3.Connection, of: Generation, changes: Sequence[Change], question: NDArray[np.float32]) -> list[tuple[int, float]]:
    """The undrained chunks with their cosines."""
    last = {change.pk: change.put for change in changes}
    rows = book_view.vectors(book, of, [pk for pk, put in last.items() if put])
    return [(pk, float(np.frombuffer(vector, dtype="<f4") @ question)) for pk, vector in rows]


def _merged(
    hits: Sequence[tuple[int, float]], touched: set[int], scanned: Sequence[tuple[int, float]], limit: int
) -> list[tuple[int, float]]:
    """Chroma's hits without the touched chunks, with the scanned ones in their places."""
    kept = [hit for hit in hits if hit[0] not in touched]
    return sorted([*kept, *scanned], key=lambda hit: (-hit[1], hit[0]))[:limit]
