"""Choosing when sources are read again, after they were ingested. Waits for no run: nobody else writes a schedule."""

from __future__ import annotations

import time

from sqlalchemy import select

from app.core.paths import Home
from ingest import naming
from ingest.book import queries, source_rows
from ingest.book.engine import open_book, translated, update_book, writing
from ingest.book.schema import sources, stores
from ingest.keeping.kept import Key
from ingest.keeping.schedule import from_plain, make_schedule


def choose(home: Home, store: str, source: str | None, every: str, cron: str, *, on_change: bool, never: bool) -> list[tuple[Key, str]]:
    """Set it for a source, or for all of a store; (which, schedule in words) as it is then. BadRequest, StoreNotFound, NotFound."""
    update_book(home.book, home.locks)
    with open_book(home.book) as book, book.read() as connection:
        named = naming.named(queries.known_sources(connection, store), store, source)
    made = {kind: make_schedule(every, cron, on_change=on_change, kind=kind, now=time.time()) for _, kind, _, _ in named}
    wanted = {name: Key(of, name) for of, _, name, _ in named}
    told = []
    with writing(home) as engine, translated(), engine.begin() as connection:
        query = select(sources.c.id, sources.c.kind, sources.c.name, sources.c.schedule).join(stores, stores.c.id == sources.c.store_id)
        for row in connection.execute(query.where(stores.c.id == queries.store_id(connection, store)).order_by(sources.c.id)).all():
            if row.name not in wanted:
                continue
            chosen = made.get(row.kind)
            if chosen is not None or never:
                source_rows.schedule(connection, row.id, chosen)
            else:
                chosen = from_plain(row.schedule)
            told.append((wanted[row.name], chosen.words if chosen else ""))
    return told
