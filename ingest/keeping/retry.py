"""Which failures somebody wants tried again now."""

from __future__ import annotations

from collections.abc import Collection

from app.core.errors import NotFound
from app.core.paths import Home
from ingest import naming
from ingest.book import queries
from ingest.book.engine import open_book, update_book
from ingest.keeping.failing import Retry
from ingest.keeping.status import source_statuses


def chosen(home: Home, store: str | None, source: str | None, items: Collection[str]) -> dict[tuple[str, str], Retry]:
    """What to try again, by (store, source): of sources where an item failed, or that stopped as a whole, unless `items` are named.

    NotFound names the nearest; StoreNotFound.
    """
    update_book(home.book, home.locks)
    with open_book(home.book) as book, book.read() as connection:
        named = {(name, of) for name, _, of, _ in naming.named(queries.known_sources(connection, store), store, source)}
        # A run that was killed has left no failure behind, but how it ended.
        failed = {
            (one.store, one.name): {failure.item for failure in one.failures}
            for one in source_statuses(connection, 0.0)
            if (one.failures or one.outcome in ("failed", "interrupted")) and (one.store, one.name) in named
        }
    if not items:
        return dict.fromkeys(failed, True)
    spelled = {item: naming.spelled(item) for item in items}
    known = {item for some in failed.values() for item in some}
    for item, forms in spelled.items():
        if not forms & known:
            hint = naming.nearest(item, sorted(known), "`ondol ingest status` lists what failed.")
            raise NotFound(f"{item} is nothing that failed.", hint=hint, param="item")
    wanted = set().union(*spelled.values())
    return {key: some & wanted for key, some in failed.items() if some & wanted}
