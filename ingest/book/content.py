"""What one transaction does to documents, chunks, vectors, full text and outbox, in step with each other.

Functions over a connection inside a writing transaction; `ingest.book.writer` opens it. Few statements with many rows each:
SQLite is fast, building a statement is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from ingest.book.schema import chunks, documents, generations, outbox, vectors
from ingest.chunking import Chunk
from ingest.documents import Document
from ingest.search.lexical import index_terms

T = TypeVar("T")

_MANY = 500
"""Values in one IN list: far below SQLite's limit on variables."""


@dataclass(frozen=True)
class Ready:
    """A document with its chunks and the hashes of what was embedded of them."""

    document: Document
    content_hash: str
    chunks: tuple[tuple[Chunk, str], ...]


@dataclass(frozen=True)
class Batch:
    """What one transaction puts. `vectors`: float32 bytes by text hash, of texts that had none yet. `gone`: documents that it replaces."""

    source_id: int
    put: Sequence[Ready] = ()
    vectors: Mapping[str, bytes] = field(default_factory=dict)
    access: tuple[str, ...] = ()
    may_leave: bool = False
    gone: Sequence[str] = ()


@dataclass(frozen=True)
class Place:
    """Where it goes: a store, its current generation, and the time that is written down."""

    store_id: int
    generation_id: int
    now: float


def put(connection: Connection, place: Place, batch: Batch) -> None:
    """Put documents, each with all its chunks in place of its old ones."""
    put_vectors(connection, place, batch.vectors)
    pks, orphans = _put_documents(connection, place, batch)
    # Pks are handed out here, not by SQLite: the full text and the outbox need them, and this transaction holds the write lock.
    pk = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")).scalar() or 0
    rows: list[tuple[Any, ...]] = []
    terms: list[tuple[int, str]] = []
    for ready in batch.put:
        for ordinal, (chunk, text_hash) in enumerate(ready.chunks):
            pk += 1
            document, id = pks[ready.document.id], f"{ready.document.id}#{ordinal}"
            place_in_it = (chunk.text, chunk.heading, chunk.page, chunk.line)
            rows.append((pk, place.store_id, document, id, ordinal, *place_in_it, text_hash))
            terms.append((pk, index_terms(f"{ready.document.title}\n{chunk.heading}\n{chunk.text}")))
    if rows:
        columns = ("pk", "store_id", "document_pk", "id", "ordinal", "text", "heading", "page", "line", "text_hash")
        _insert(connection, chunks.name, columns, rows)
        _insert(connection, "chunk_text", ("rowid", "terms"), terms)
        _announce(connection, place, "put", [pk for pk, _ in terms])
    _drop_orphans(connection, place, orphans)


def remove(connection: Connection, place: Place, ids: Collection[str]) -> int:
    """Take documents out with all that belongs to them; how many there were."""
    gone = 0
    for some in slices(sorted(ids)):
        found = select(documents.c.pk).where(documents.c.store_id == place.store_id, documents.c.id.in_(some))
        pks = list(connection.execute(found).scalars())
        orphans = _drop_chunks(connection, place, pks)
        connection.execute(delete(documents).where(documents.c.pk.in_(pks)))
        _drop_orphans(connection, place, orphans)
        gone += len(pks)
    return gone


def put_vectors(connection: Connection, place: Place, made: Mapping[str, bytes]) -> None:
    """Keep vectors by the hashes of their texts."""
    rows = [(place.generation_id, hash, vector) for hash, vector in made.items()]
    if rows:
        _insert(connection, vectors.name, ("generation_id", "text_hash", "vector"), rows, " ON CONFLICT DO NOTHING")


def drop_unused_vectors(connection: Connection, place: Place) -> None:
    """Remove every vector of the generation whose text no chunk has."""
    connection.execute(delete(vectors).where(vectors.c.generation_id == place.generation_id, ~_used(place)))


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts small enough for one statement."""
    for at in range(0, len(values), _MANY):
        yield values[at : at + _MANY]


def _put_documents(connection: Connection, place: Place, batch: Batch) -> tuple[dict[str, int], set[str]]:
    """Pks by id, and the hashes of the chunks that changed documents had."""
    rows = {
        ready.document.id: {
            "title": ready.document.title,
            "url": ready.document.url,
            "content_hash": ready.content_hash,
            "attributes": ready.document.attributes,
            "access": list(batch.access if ready.document.access is None else ready.document.access),
            "may_leave": batch.may_leave,
            "updated_at": place.now,
        }
        for ready in batch.put
    }
    pks: dict[str, int] = {}
    for some in slices(sorted(rows)):
        known = select(documents.c.id, documents.c.pk).where(documents.c.store_id == place.store_id, documents.c.id.in_(some))
        pks.update((id, pk) for id, pk in connection.execute(known))
    changed = [{"at": pk, **rows[id]} for id, pk in pks.items()]
    orphans = _drop_chunks(connection, place, list(pks.values()))
    if changed:
        connection.execute(update(documents).where(documents.c.pk == bindparam("at")), changed)
    last = connection.execute(select(func.coalesce(func.max(documents.c.pk), 0))).scalar_one()
    new = [id for id in rows if id not in pks]
    pks.update((id, last + at) for at, id in enumerate(new, 1))
    if new:
        fixed = {"store_id": place.store_id, "source_id": batch.source_id}
        connection.execute(insert(documents), [{"pk": pks[id], "id": id, **fixed, **rows[id]} for id in new])
    return pks, orphans


def _drop_chunks(connection: Connection, place: Place, document_pks: Sequence[int]) -> set[str]:
    """Remove the documents' chunks; the hashes that may have no chunk left."""
    hashes: set[str] = set()
    for some in slices(document_pks):
        rows = connection.execute(select(chunks.c.pk, chunks.c.text_hash).where(chunks.c.document_pk.in_(some))).all()
        if rows:
            connection.execute(text("DELETE FROM chunk_text WHERE rowid = :pk"), [{"pk": row.pk} for row in rows])
            connection.execute(delete(chunks).where(chunks.c.document_pk.in_(some)))
            _announce(connection, place, "delete", [row.pk for row in rows])
            hashes.update(row.text_hash for row in rows)
    return hashes


def _drop_orphans(connection: Connection, place: Place, hashes: Collection[str]) -> None:
    mine = select(generations.c.id).where(generations.c.store_id == place.store_id)
    for some in slices(sorted(hashes)):
        connection.execute(delete(vectors).where(vectors.c.text_hash.in_(some), vectors.c.generation_id.in_(mine), ~_used(place)))


def _used(place: Place) -> Any:
    same = select(chunks.c.pk).where(chunks.c.store_id == place.store_id, chunks.c.text_hash == vectors.c.text_hash)
    return same.correlate(vectors).exists()


def _announce(connection: Connection, place: Place, op: str, pks: Iterable[int]) -> None:
    if rows := [(place.generation_id, op, pk) for pk in pks]:
        _insert(connection, outbox.name, ("generation_id", "op", "chunk_pk"), rows)


def _insert(connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]], otherwise: str = "") -> None:
    """Many rows of numbers, texts and bytes as SQLite itself takes them: SQLAlchemy's look at each value costs as much as the writing."""
    marks = ", ".join("?" for _ in columns)
    # Names of this module's own tables; what comes from outside are the values.
    connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){otherwise}", rows)  # noqa: S608
