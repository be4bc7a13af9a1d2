"""Everything is read and cut again, and the index built anew, without a moment in which less is found than before.

Each document is swapped for its new self in one transaction; a text that stays the same keeps its vector; while the index is built,
searches are answered from the book's vectors. Killed in the middle, some documents are new and some old, and all are there.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from app.core.paths import Home
from ingest.book import queries
from ingest.book.engine import open_book
from ingest.book.generations import CURRENT
from ingest.book.schema import generations
from ingest.embedders import Counting, Embedding
from ingest.index import directory
from ingest.options import Options
from ingest.report import OnEvent, Report
from ingest.sync import sync


def rebuild(home: Home, store: str | None, embedder: Embedding, counter: Counting, *, on_event: OnEvent, options: Options) -> list[Report]:
    """Of one store, or of all. What can't be read now stays as it was, and is a failure in the report."""
    reports = sync(home, store, embedder, counter, on_event=on_event, options=replace(options, reread=True, retry=True))
    with open_book(home.book) as book, book.read() as connection:
        query = select(generations.c.id).where(generations.c.state == CURRENT)
        if store is not None:
            query = query.where(generations.c.store_id == queries.store_id(connection, store))
        found = list(connection.execute(query).scalars())
    for generation_id in found:
        directory.abandon(home.index, generation_id)
    return reports
