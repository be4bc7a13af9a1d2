"""What the index and the search read of the book. The tables are those of `ingest.book.schema`; a store's name is asked as it stands there.

Plain sqlite3 and no numpy: the server imports this. Vectors are bytes of float32, as the book keeps them.
"""

from __future__ import annotations

import contextlib
import difflib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from app.core.errors import StoreNotFound

_MANY = 500
"""Values in one IN list: far below SQLite's limit on variables."""


class Generation(msgspec.Struct, frozen=True):
    """The way a store is embedded now. `identity` tells it from a generation of another book with the same number."""

    id: int
    store_id: int
    store: str
    model: str
    fingerprint: str
    dimensions: int
    identity: str


class Change(msgspec.Struct, frozen=True):
    """A row of the outbox."""

    seq: int
    put: bool
    pk: int


def connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads, in autocommit. StoreNotFound where nothing was ever ingested."""
    if not path.exists():
        raise StoreNotFound("Nothing has been ingested yet.", hint="`ondol ingest files PATH --into STORE` makes a store.")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -32000")
    return connection


@contextlib.contextmanager
def snapshot(book: sqlite3.Connection) -> Iterator[None]:
    """All reads inside see the book as it is at the first of them."""
    book.execute("BEGIN")
    try:
        yield
    finally:
        book.execute("COMMIT")


def generations(book: sqlite3.Connection) -> list[Generation]:
    """The current generation of each store that has one."""
    rows = book.execute(
        "SELECT g.id, s.id, s.name, g.model, g.fingerprint, g.dimensions, g.created_at FROM generations g"
        " JOIN stores s ON s.id = g.store_id WHERE g.state = 'current' ORDER BY s.name"
    )
    return [
        Generation(id, store_id, store, model, fingerprint, dimensions, f"{id} {created_at!r} {fingerprint}")
        for id, store_id, store, model, fingerprint, dimensions, created_at in rows
    ]


def generation(book: sqlite3.Connection, store: str) -> Generation | None:
    """The current generation of one store; None while it has none. StoreNotFound names the nearest stores."""
    for found in generations(book):
        if found.store == store:
            return found
    store_id(book, store)
    return None


def store_id(book: sqlite3.Connection, store: str) -> int:
    """The store's number. StoreNotFound names the nearest."""
    row = book.execute("SELECT id FROM stores WHERE name = ?", (store,)).fetchone()
    if row is not None:
        return int(row[0])
    names = [name for (name,) in book.execute("SELECT name FROM stores ORDER BY name")]
    near = difflib.get_close_matches(store, names, n=3, cutoff=0.4) or names[:3]
    hint = f"Did you mean {' or '.join(near)}?" if near else "`ondol ingest files PATH --into STORE` makes one."
    raise StoreNotFound(f'There is no store "{store}".', hint=hint)


def newest_seq(book: sqlite3.Connection) -> int:
    """The highest number that the outbox ever gave, also when its rows have been pruned."""
    row = book.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return int(row[0]) if row else 0


def changed_since(book: sqlite3.Connection, generation_id: int, seq: int) -> bool:
    """Whether a generation's chunks have changed after a number of the outbox; True too where nobody can tell, as rows were pruned."""
    later = newest_seq(book) - seq
    if not later:
        return False
    count, mine = book.execute("SELECT count(*), total(generation_id = ?) FROM outbox WHERE seq > ?", (generation_id, seq)).fetchone()
    return bool(mine) or count != later


def changes(book: sqlite3.Connection, generation_id: int, after: int, limit: int) -> list[Change]:
    """The generation's changes after a number, oldest first."""
    rows = book.execute(
        "SELECT seq, op, chunk_pk FROM outbox WHERE generation_id = ? AND seq > ? ORDER BY seq LIMIT ?", (generation_id, after, limit)
    )
    return [Change(seq, op == "put", pk) for seq, op, pk in rows]


def pending(book: sqlite3.Connection, generation_id: int, after: int) -> int:
    """How many changes came after a number."""
    row = book.execute("SELECT count(*) FROM outbox WHERE generation_id = ? AND seq > ?", (generation_id, after)).fetchone()
    return int(row[0])


def chunk_pks(book: sqlite3.Connection, of: Generation) -> list[int]:
    """The chunks that an index of this generation must hold, ascending."""
    rows = book.execute(
        "SELECT c.pk FROM chunks c JOIN vectors v ON v.generation_id = ? AND v.text_hash = c.text_hash WHERE c.store_id = ? ORDER BY c.pk",
        (of.id, of.store_id),
    )
    return [pk for (pk,) in rows]


def vectors(book: sqlite3.Connection, of: Generation, pks: Sequence[int]) -> list[tuple[int, bytes]]:
    """The vectors of chunks, in the order asked; chunks that the store no longer has are left out."""
    found: dict[int, bytes] = {}
    for start in range(0, len(pks), _MANY):
        some = pks[start : start + _MANY]
        marks = ", ".join("?" * len(some))
        found.update(
            book.execute(
                "SELECT c.pk, v.vector FROM chunks c JOIN vectors v ON v.generation_id = ? AND v.text_hash = c.text_hash"  # noqa: S608 - question marks alone
                f" WHERE c.store_id = ? AND c.pk IN ({marks})",
                (of.id, of.store_id, *some),
            )
        )
    return [(pk, found[pk]) for pk in pks if pk in found]


def allowed_pks(book: sqlite3.Connection, store_id: int, condition: str, values: Sequence[object]) -> list[int]:
    """The store's chunks whose document meets a condition on `documents`."""
    rows = book.execute(
        f"SELECT chunks.pk FROM documents JOIN chunks ON chunks.document_pk = documents.pk WHERE documents.store_id = ? AND {condition}",  # noqa: S608 - the condition holds question marks alone
        (store_id, *values),
    )
    return [pk for (pk,) in rows]
