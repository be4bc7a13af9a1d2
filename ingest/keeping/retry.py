"""Which failures somebody wants tried again now."""

from __future__ import annotations

from collections.abc import Collection

from app.core.errors import NotFound
from app.core.paths import Home
from ingest import naming
from ingest.book import queries
from ingest.book.engine import open_book, update_book
from ingest.keeping.failing import Retry
from ingest.keeping.status import SourceStatus, source_statuses

_LISTED = "`ondol ingest status` lists what failed; `ondol ingest retry` without a name tries all of it again."
_NOTHING = "Nothing failed; `ondol ingest sync` reads what has changed."


def chosen(home: Home, store: str | None, source: str | None, items: Collection[str]) -> dict[tuple[str, str], Retry]:
    """What to try again, by (store, source): of sources where an item failed, or that stopped as a whole, unless `items` are named.

    An item may be a source that stopped, by its name. NotFound names the nearest; StoreNotFound.
    """
    update_book(home.book, home.locks)
    with open_book(home.book) as book, book.read() as connection:
        named = {(name, of) for name, _, of, _ in naming.named(queries.known_sources(connection, store), store, source)}
        every = {(one.store, one.name): _failed(one) for one in source_statuses(connection, 0.0)}
        failed = {key: items for key, items in every.items() if items and key in named}
    if not items:
        return dict.fromkeys(failed, True)
    spelled = {item: naming.spelled(item) for item in items}
    known = {item for some in failed.values() for item in some}
    for item, forms in spelled.items():
        if not forms & known:
            hint = naming.nearest(item, sorted(known), _LISTED if known else _NOTHING)
            raise NotFound(f'No item that failed is called "{item}".', hint=hint, param="item")
    wanted = set().union(*spelled.values())
    return {key: some & wanted for key, some in failed.items() if some & wanted}


def _failed(one: SourceStatus) -> set[str]:
    """What of a source failed. A run that was killed has left no failure behind, but how it ended: then it is the source itself."""
    stopped = one.outcome in ("failed", "interrupted")
    return {failure.item for failure in one.failures} | ({one.name} if stopped else set())
