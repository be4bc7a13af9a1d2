"""What a store holds of documents, asked for in portions: a run compares a million of them without having them all in memory.

Functions over a connection, as in `content`. A document is known to a run by its `pk`: one byte each is enough to tell which were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from ingest.book.schema import documents

PORTION = 10_000
"""Ids in one question, documents in one page."""

_FIND = """
    SELECT documents.id, documents.pk, documents.content_hash, documents.source_id
    FROM json_each(?) AS wanted CROSS JOIN documents ON documents.store_id = ? AND documents.id = wanted.value
"""


class Held(NamedTuple):
    """A document that the store holds: compared with what its source says now."""

    pk: int
    content_hash: str
    source_id: int


def find(connection: Connection, store_id: int, ids: Sequence[str]) -> dict[str, Held]:
    """Those of the ids that the store holds."""
    found: dict[str, Held] = {}
    for at in range(0, len(ids), PORTION):
        wanted = msgspec.json.encode(ids[at : at + PORTION]).decode()
        rows = connection.exec_driver_sql(_FIND, (wanted, store_id)).all()
        found.update([(row[0], Held(row[1], row[2], row[3])) for row in rows])
    return found


def page(connection: Connection, source_id: int, after: int) -> list[tuple[int, str]]:
    """(pk, id) of a source's next documents behind the pk `after`; empty at the end."""
    query = select(documents.c.pk, documents.c.id).where(documents.c.source_id == source_id, documents.c.pk > after)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(documents.c.pk).limit(PORTION)).all()]


def ids_page(connection: Connection, store_id: int, after: str) -> list[str]:
    """The store's next ids behind `after`, in their order; empty at the end."""
    query = select(documents.c.id).where(documents.c.store_id == store_id, documents.c.id > after)
    return list(connection.execute(query.order_by(documents.c.id).limit(PORTION)).scalars())


def count(connection: Connection, source_id: int) -> int:
    """How many documents a source has brought."""
    return int(connection.execute(select(func.count()).where(documents.c.source_id == source_id)).scalar_one())


class Seen:
    """Which documents a run has seen: a byte each, by pk."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __contains__(self, pk: int) -> bool:
        return pk < len(self._bytes) and self._bytes[pk] == 1

    def add(self, pk: int) -> bool:
        """Whether it is new."""
        if pk >= len(self._bytes):
            self._bytes.extend(bytes(max(pk + 1, 2 * len(self._bytes)) - len(self._bytes)))
        if self._bytes[pk]:
            return False
        self._bytes[pk] = 1
        return True
