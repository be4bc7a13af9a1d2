"""All vectors of one generation as one matrix: an exact scan of 100,000 x 384 takes about 11 ms.

It follows the book by itself: `follow` takes in the outbox's rows, and compares all keys with the book's where it can't
know what it missed. A deleted chunk's key becomes 0. The rows may lie in a mapped file (`matrix_file`), which is a cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadRequest
from ingest.index import book_view
from ingest.index.book_view import Change, Generation

Keys = NDArray[np.int64]
Rows = NDArray[np.float32]
_AT_ONCE = 4096
"""Rows that a build reads and writes at a time."""
_FOLLOWED = 20_000
"""Changes up to which following the outbox is quicker than comparing all keys."""

_SAMPLED = 64


class Storage(Protocol):
    """Where the rows lie. `keys` and `rows` are valid until the next call; keys may be written in place."""

    seq: int
    keys: Keys
    rows: Rows

    def append(self, keys: Keys, rows: Rows) -> None:
        """Add rows at the end."""
        ...

    def commit(self, seq: int) -> None:
        """What was changed counts from now on, as of the outbox's number `seq`."""
        ...

    def clear(self) -> None:
        """Begin again with nothing."""
        ...


class Memory:
    """Rows in this process's memory."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self.clear()

    def clear(self) -> None:
        """Begin again with nothing; -1: nothing was ever taken in."""
        self.seq = -1
        self.keys = np.zeros(0, dtype=np.int64)
        self.rows = np.zeros((0, self._dimensions), dtype=np.float32)

    def append(self, keys: Keys, rows: Rows) -> None:
        """Add rows at the end."""
        self.keys = np.concatenate([self.keys, keys])
        self.rows = np.concatenate([self.rows, rows])

    def commit(self, seq: int) -> None:
        """As of the outbox's number `seq`."""
        self.seq = seq


class Matrix:
    """Exact search over one generation. For one thread at a time."""

    def __init__(self, of: Generation, storage: Storage | None = None) -> None:
        self.of = of
        self._storage: Storage = storage or Memory(of.dimensions)
        self.version = 0

    @property
    def seq(self) -> int:
        """The outbox's number up to which it follows; -1 while it holds nothing."""
        return self._storage.seq

    @property
    def entries(self) -> int:
        """Chunks that can be found."""
        return int(np.count_nonzero(self._storage.keys))

    def follow(self, book: sqlite3.Connection) -> bool:
        """Take in what the book has changed, inside the caller's snapshot. True if anything was."""
        newest = book_view.newest_seq(book)
        if self.seq == newest:
            return False
        if self.seq > newest:
            # The book was replaced by an older one: its numbers, and its chunks' keys, can mean something else now.
            self._storage.clear()
        if self.seq < 0:
            self._compare(book)
        else:
            changes = book_view.changes(book, self.of.id, self.seq, _FOLLOWED + 1)
            if len(changes) > _FOLLOWED:
                self._compare(book)
            elif changes:
                self._apply(book, changes)
        self._storage.commit(newest)
        self.version += 1
        return True

    def clear(self) -> None:
        """Begin again with nothing."""
        self._storage.clear()

    def compare(self, book: sqlite3.Connection) -> None:
        """Make it equal to the book whatever was missed (rows of the outbox that were pruned), inside the caller's snapshot."""
        newest = book_view.newest_seq(book)
        if self.seq > newest:
            self._storage.clear()
        self._compare(book)
        self._storage.commit(newest)
        self.version += 1

    def agrees(self, book: sqlite3.Connection) -> bool:
        """Whether some of the rows, and the newest ones, are the book's: a book put back from a copy may use keys again."""
        keys = self._storage.keys
        live = np.flatnonzero(keys)
        places = np.unique(np.concatenate([live[-_SAMPLED:], live[:: max(1, len(live) // _SAMPLED)]]))
        of_book = dict(book_view.vectors(book, self.of, [int(keys[at]) for at in places]))
        return all(of_book.get(int(keys[at]), own) == own for at in places for own in [self._storage.rows[at].astype("<f4").tobytes()])

    def _apply(self, book: sqlite3.Connection, changes: Sequence[Change]) -> None:
        last = {change.pk: change.put for change in changes}
        self._drop(list(last))
        self._put(book, [pk for pk, put in last.items() if put])
        self._tidy(book)

    def _compare(self, book: sqlite3.Connection) -> None:
        wanted = np.asarray(book_view.chunk_pks(book, self.of), dtype=np.int64)
        held = self._storage.keys[self._storage.keys != 0]
        self._drop([int(pk) for pk in np.setdiff1d(held, wanted)])
        self._put(book, [int(pk) for pk in np.setdiff1d(wanted, held)])

    def _drop(self, pks: Sequence[int]) -> None:
        if pks:
            self._storage.keys[np.isin(self._storage.keys, np.asarray(pks, dtype=np.int64))] = 0

    def _put(self, book: sqlite3.Connection, pks: Sequence[int]) -> None:
        size = 4 * self.of.dimensions
        for start in range(0, len(pks), _AT_ONCE):
            found = [(pk, vector) for pk, vector in book_view.vectors(book, self.of, pks[start : start + _AT_ONCE]) if len(vector) == size]
            if found:
                rows = np.frombuffer(b"".join(vector for _, vector in found), dtype="<f4").reshape(len(found), self.of.dimensions)
                self._storage.append(np.asarray([pk for pk, _ in found], dtype=np.int64), rows)

    def _tidy(self, book: sqlite3.Connection) -> None:
        """Where more than half of the rows are of deleted chunks, begin again without them."""
        held = len(self._storage.keys)
        if held > _AT_ONCE and self.entries < held / 2:
            self._storage.clear()
            self._compare(book)

    def mask(self, pks: Sequence[int]) -> NDArray[np.bool_]:
        """Which rows belong to these chunks; valid while `version` stands."""
        return np.isin(self._storage.keys, np.asarray(pks, dtype=np.int64))

    def search(self, vector: bytes, limit: int, allowed: NDArray[np.bool_] | None = None) -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first. BadRequest for a vector of other dimensions."""
        question = question_vector(vector, self.of.dimensions)
        keys = self._storage.keys
        live = np.flatnonzero(keys if allowed is None else allowed & (keys != 0))
        if not len(live) or limit < 1:
            return []
        # A product over all rows is quicker than taking out most of them first.
        scores = self._storage.rows[live] @ question if 10 * len(live) < len(keys) else (self._storage.rows @ question)[live]
        count = min(limit, len(live))
        top = np.argpartition(-scores, count - 1)[:count]
        return sorted(((int(keys[live[at]]), float(scores[at])) for at in top), key=lambda hit: (-hit[1], hit[0]))


def question_vector(vector: bytes, dimensions: int) -> NDArray[np.float32]:
    """The question's bytes as float32. BadRequest where they are of another length than the store's."""
    if len(vector) != 4 * dimensions:
        raise BadRequest(
            f"The question's vector has {len(vector) // 4} dimensions, and the store's have {dimensions}.",
            hint="Use the embedder that the store was filled with.",
        )
    return np.frombuffer(vector, dtype="<f4")
