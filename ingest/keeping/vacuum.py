"""Giving disk back: vectors that no text needs, index directories that nobody follows, pages that stand empty in the book.

Safe beside a running server: its readers go on over the pages as they were, and the index worker alone removes directories while it
runs. A kill at any moment leaves the book as before or as after.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec
from sqlalchemy import select

from app.core.errors import Conflict, DiskFull, NotReady, StoreNotFound, foreign
from app.core.locks import FileLock
from app.core.paths import Home
from ingest.book import content
from ingest.book.content import Place
from ingest.book.engine import open_book, translated, update_book
from ingest.book.schema import generations, stores
from ingest.book.writer import prune_outbox
from ingest.index import book_view, directory
from ingest.index.files import taken_in
from ingest.index.matrix_file import sweep_matrices
from ingest.keeping.disk import DiskUse, disk_use, free_bytes, spell
from ingest.opened import open_store
from ingest.report import OnEvent

WORTH = 0.02
"""The share of empty pages below which the book isn't written anew."""
_RESERVE = 32_000_000


class Vacuumed(msgspec.Struct, frozen=True):
    """What it came to. `rewritten`: whether the book was worth writing anew."""

    before: DiskUse
    after: DiskUse
    rewritten: bool


def vacuum(home: Home, on_event: OnEvent, free: Callable[[Home], int] = free_bytes) -> Vacuumed:
    """Give back what can be given. DiskFull where there is too little room to write the book anew: nothing of it has changed then."""
    if not home.book.exists():
        raise StoreNotFound("Nothing has been ingested yet.", hint="Run `ondol ingest files PATH --into STORE` first.")
    update_book(home.book, home.locks)
    before = disk_use(home)
    known = _clean(home, on_event)
    _sweep(home, known)
    rewritten = _rewrite(home, free(home))
    return Vacuumed(before, disk_use(home), rewritten)


def _clean(home: Home, on_event: OnEvent) -> set[int]:
    """Remove rows that nobody needs, store by store, each under its lock; the generations that there are."""
    with open_book(home.book) as book, book.read() as connection:
        names = list(connection.execute(select(stores.c.name).order_by(stores.c.name)).scalars())
    for name in names:
        try:
            with open_store(home, name, on_event, create=False) as writer:
                with translated(), writer.engine.begin() as connection:
                    mine = list(connection.execute(select(generations.c.id).where(generations.c.store_id == writer.store_id)).scalars())
                    for id in mine:
                        content.drop_unused_vectors(connection, Place(writer.store_id, id, time.time()))
                for id in mine:
                    if passed := taken_in(home.index, id):
                        prune_outbox(writer.engine, id, passed)
        except StoreNotFound:
            continue  # forgotten meanwhile
    with open_book(home.book) as book, book.read() as connection:
        return set(connection.execute(select(generations.c.id)).scalars())


def _sweep(home: Home, known: set[int]) -> None:
    """Remove index directories of generations that are no more. A worker that runs does so by itself."""
    try:
        with FileLock(home.locks / "index.lock", wait=0, who="a vacuum of the index"):
            with closing(book_view.connect(home.book)) as book:
                keep = [found[0] for of in book_view.generations(book) if (found := directory.newest(home.index, of)) is not None]
            directory.sweep(home.index, keep)
            sweep_matrices(home.index, known)
    except Conflict:
        return


def _rewrite(home: Home, free: int) -> bool:
    """Write the book anew without its empty pages, where that is worth it; whether it was."""
    # SQLite puts the copy where temporary files go, which may be a small disk in memory: it belongs beside the book.
    os.environ["SQLITE_TMPDIR"] = str(home.root)
    with closing(sqlite3.connect(home.book, timeout=30, isolation_level=None)) as book, _ours():
        page, pages, empty = (int(book.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count"))
        worth = empty > WORTH * pages
        needed = 2 * (pages - empty) * page + _RESERVE
        if worth and free < needed:
            raise DiskFull(
                f"To give back {spell(empty * page)}, the book is written anew, which needs {spell(needed)} for a moment; "
                f"{spell(free)} are free.",
                hint="Free some space and run it again. Nothing was changed in the book.",
            )
        if worth:
            book.execute("VACUUM")
        book.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return worth


@contextmanager
def _ours() -> Iterator[None]:
    """A plain connection's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise NotReady("The book is being written by another process.", hint="Try again when that has ended.") from None
        raise foreign(error) from error
