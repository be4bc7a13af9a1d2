"""Questions to the book that more than one part asks."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, select

from app.core.errors import StoreNotFound
from ingest.book.schema import chunks, documents, failures, sources, stores


class FailureStatus(msgspec.Struct, frozen=True):
    """An item that could not be read the last time, and how often it was tried. Times in seconds since 1970."""

    item: str
    reason: str
    attempts: int
    last_at: float


class SourceStatus(msgspec.Struct, frozen=True):
    """One source of a store: how much of it is in, and how its last run went."""

    store: str
    kind: str
    name: str
    documents: int
    chunks: int
    last_started: float | None
    last_finished: float | None
    last_summary: dict[str, Any] | None
    failures: tuple[FailureStatus, ...]


def no_such_store(connection: Connection, name: str) -> StoreNotFound:
    """The error that names what there is instead."""
    names = list(connection.execute(select(stores.c.name).order_by(stores.c.name)).scalars())
    near = difflib.get_close_matches(name, names, 1)
    hint = f'Did you mean "{near[0]}"?' if near else f"There are: {', '.join(names[:10])}." if names else "Nothing has been ingested yet."
    return StoreNotFound(f'There is no store "{name}".', hint=hint, param="store")


def store_id(connection: Connection, name: str) -> int:
    """The store's id; StoreNotFound names the nearest."""
    found = connection.execute(select(stores.c.id).where(stores.c.name == name)).scalar()
    if found is None:
        raise no_such_store(connection, name)
    return int(found)


def known_sources(connection: Connection, store: str | None = None) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(store, kind, name, spec) of every source, or of those of one store."""
    query = select(stores.c.name, sources.c.kind, sources.c.name, sources.c.spec).join(sources, sources.c.store_id == stores.c.id)
    if store is not None:
        query = query.where(stores.c.id == store_id(connection, store))
    return [tuple(row) for row in connection.execute(query.order_by(stores.c.name, sources.c.id))]


def source_statuses(connection: Connection) -> list[SourceStatus]:
    """Every source with its counts and failures."""
    of_documents = _counts(connection, select(documents.c.source_id, func.count()).group_by(documents.c.source_id))
    joined = select(documents.c.source_id, func.count()).join(chunks, chunks.c.document_pk == documents.c.pk)
    of_chunks = _counts(connection, joined.group_by(documents.c.source_id))
    failed: dict[int, list[FailureStatus]] = {}
    for row in connection.execute(select(failures).order_by(failures.c.item)):
        failed.setdefault(row.source_id, []).append(FailureStatus(row.item, row.reason, row.attempts, row.last_at))
    rows = connection.execute(
        select(sources, stores.c.name.label("store")).join(stores, stores.c.id == sources.c.store_id).order_by(stores.c.name, sources.c.id)
    )
    return [
        SourceStatus(
            row.store,
            row.kind,
            row.name,
            of_documents.get(row.id, 0),
            of_chunks.get(row.id, 0),
            row.last_started,
            row.last_finished,
            row.last_summary,
            tuple(failed.get(row.id, ())),
        )
        for row in rows
    ]


def _counts(connection: Connection, query: Select[Any]) -> dict[int, int]:
    return {row[0]: row[1] for row in connection.execute(query)}
