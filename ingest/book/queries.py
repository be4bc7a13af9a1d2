"""Questions to the book that more than one part asks."""

from __future__ import annotations

import difflib
from typing import Any

from sqlalchemy import Connection, select

from app.core.errors import StoreNotFound
from app.core.names import composed
from ingest.book.schema import sources, stores


def no_such_store(connection: Connection, name: str) -> StoreNotFound:
    """The error that names what there is instead."""
    names = list(connection.execute(select(stores.c.name).order_by(stores.c.name)).scalars())
    near = difflib.get_close_matches(name, names, 1)
    hint = f'Did you mean "{near[0]}"?' if near else f"There are: {', '.join(names[:10])}." if names else "Nothing has been ingested yet."
    return StoreNotFound(f'There is no store "{name}".', hint=hint, param="store")


def store_id(connection: Connection, name: str) -> int:
    """The store's id; StoreNotFound names the nearest."""
    name = composed(name)
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
