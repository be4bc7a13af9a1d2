"""What one transaction does to a store's generations: the ways in which it was, is and will be embedded.

    building -> current -> previous      a new model or precision: embedded beside the old, swapped when complete
                current -> left          after a step back: what was stepped back from, and is not begun again by itself

A store has at most one of each state, and of previous and left together. Functions over a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from ingest.book.content import Place, drop_unused_vectors, put_vectors
from ingest.book.schema import chunks, documents, generations, outbox, vectors

BUILDING, CURRENT, PREVIOUS, LEFT = "building", "current", "previous", "left"


@dataclass(frozen=True)
class Stage:
    """One generation of a store and its state."""

    id: int
    model: str
    fingerprint: str
    dimensions: int
    state: str


@dataclass(frozen=True)
class Missing:
    """A text without a vector in a generation; `pk` of a chunk that has it."""

    pk: int
    text_hash: str
    title: str
    heading: str
    text: str


def stages(connection: Connection, store_id: int) -> dict[str, Stage]:
    """The store's generations by state."""
    rows = connection.execute(select(generations).where(generations.c.store_id == store_id))
    return {row.state: Stage(row.id, row.model, row.fingerprint, row.dimensions, row.state) for row in rows}


def empty(connection: Connection, store_id: int) -> bool:
    """Whether the store has nothing that was embedded."""
    return connection.execute(select(chunks.c.pk).where(chunks.c.store_id == store_id).limit(1)).first() is None


def begin(connection: Connection, store_id: int, model: str, fingerprint: str, dimensions: int, now: float) -> Stage:
    """The generation that is being built: the one begun before where it has this fingerprint, else a new one."""
    before = stages(connection, store_id).get(BUILDING)
    if before is not None and before.fingerprint == fingerprint:
        return before
    drop(connection, store_id, BUILDING)
    values = {"model": model, "fingerprint": fingerprint, "dimensions": dimensions, "state": BUILDING, "created_at": now}
    id = connection.execute(insert(generations).values(store_id=store_id, **values).returning(generations.c.id)).scalar_one()
    return Stage(id, model, fingerprint, dimensions, BUILDING)


def missing(connection: Connection, store_id: int, generation_id: int, after: int, limit: int) -> list[Missing]:
    """Texts of chunks behind the pk `after` that have no vector in the generation, in the chunks' order."""
    joined = chunks.join(documents, documents.c.pk == chunks.c.document_pk).outerjoin(
        vectors, (vectors.c.generation_id == generation_id) & (vectors.c.text_hash == chunks.c.text_hash)
    )
    query = (
        select(chunks.c.pk, chunks.c.text_hash, documents.c.title, chunks.c.heading, chunks.c.text)
        .select_from(joined)
        .where(chunks.c.store_id == store_id, chunks.c.pk > after, vectors.c.pk.is_(None))
        .order_by(chunks.c.pk)
        .limit(limit)
    )
    return [Missing(*row) for row in connection.execute(query)]


def count(connection: Connection, store_id: int, generation_id: int) -> tuple[int, int]:
    """(texts of the store with a vector in the generation, texts of the store)."""
    hashes = select(chunks.c.text_hash).where(chunks.c.store_id == store_id).distinct().subquery()
    total = connection.execute(select(func.count()).select_from(hashes)).scalar_one()
    joined = hashes.join(vectors, (vectors.c.generation_id == generation_id) & (vectors.c.text_hash == hashes.c.text_hash))
    return connection.execute(select(func.count()).select_from(joined)).scalar_one(), total


def add(connection: Connection, store_id: int, generation_id: int, made: Mapping[str, bytes], now: float) -> bool:
    """Keep vectors of a generation; False where the generation has gone meanwhile."""
    there = connection.execute(select(generations.c.id).where(generations.c.id == generation_id)).first()
    if there is not None:
        put_vectors(connection, Place(store_id, generation_id, now), made)
    return there is not None


def swap(connection: Connection, store_id: int, generation_id: int, now: float, *, back: bool = False) -> bool:
    """Make a complete generation the current one, and keep the one before; False (nothing changed) where a text lacks its vector.

    `back`: the current one is left on purpose. Older ones go, with their vectors.
    """
    if missing(connection, store_id, generation_id, 0, 1):
        return False
    for stage in stages(connection, store_id).values():
        if stage.id == generation_id:
            continue
        if stage.state == CURRENT:
            connection.execute(update(generations).where(generations.c.id == stage.id).values(state=LEFT if back else PREVIOUS))
            # No index follows it any more; one that does so again is filled from the book.
            connection.execute(delete(outbox).where(outbox.c.generation_id == stage.id))
        else:
            _remove(connection, stage.id)
    # A new moment of birth: what an index remembers of its earlier life as the current one counts no more.
    connection.execute(update(generations).where(generations.c.id == generation_id).values(state=CURRENT, created_at=now))
    drop_unused_vectors(connection, Place(store_id, generation_id, now))
    return True


def drop(connection: Connection, store_id: int, state: str) -> None:
    """Remove the generation in this state, with its vectors."""
    found = stages(connection, store_id).get(state)
    if found is not None:
        _remove(connection, found.id)


def _remove(connection: Connection, generation_id: int) -> None:
    connection.execute(delete(outbox).where(outbox.c.generation_id == generation_id))
    connection.execute(delete(generations).where(generations.c.id == generation_id))
