"""Rows and files become chunks, vectors and deletions.

Every source is run the same way: what it says now is compared with what the store knows of it; new and changed documents
are cut, embedded and written batch by batch; what it no longer has is removed. Running it again changes nothing; running
it after a kill goes on where the last transaction ended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import OndolError, StoreNotFound
from app.core.names import composed
from app.core.paths import Home
from ingest import forgetting, naming
from ingest.book import queries
from ingest.book.engine import open_book, update_book
from ingest.book.writer import SourceRow, Writer
from ingest.embedders import Counting, Embedding, Tools
from ingest.generations import renew
from ingest.keeping.status import SlotOf, SourceStatus, source_statuses
from ingest.kinds import Filling
from ingest.opened import Runs, closing, open_store
from ingest.options import Options
from ingest.readers.registry import Readers
from ingest.reading.client import Reading
from ingest.report import Event, Notice, OnEvent, Report, merged
from ingest.secrets import Secrets

if TYPE_CHECKING:
    from ingest.postgres.asked import Asked
    from ingest.postgres.preview import Preview

DEFAULTS = Options()


def silent(event: Event) -> None:
    """Tell nobody."""


def ingest_files(
    home: Home,
    paths: Sequence[Path | str],
    store: str,
    embedder: Embedding,
    counter: Counting,
    *,
    on_event: OnEvent = silent,
    options: Options = DEFAULTS,
) -> Report:
    """Take files and folders (with all below them) into a store; each path is a source of its own. An address (s3://...) is one too.

    A path or file that can't be read is a failure in the report; the rest goes on.
    """
    tools = Tools(embedder, counter)
    options = replace(options, retry=True)  # who names a path wants it read now
    with open_store(home, store, on_event) as writer, Reading(home.logs, options.limits) as reading:
        runs, filling = Runs(writer, tools, options, on_event), Filling(home, Readers(), reading, options)
        reports = [filling.named(runs, path) for path in paths]
        if not writer.sources():
            writer.forget_store()  # made for paths that all lead nowhere
    renew(home, writer.store, tools, on_event)
    return merged(reports, writer.store)


def ingest_postgres(
    home: Home,
    dsn: str,
    asked: Asked,
    store: str,
    embedder: Embedding,
    counter: Counting,
    *,
    on_event: OnEvent = silent,
    options: Options = DEFAULTS,
) -> list[Report]:
    """Take tables, views or a query into a store, each as a source of its own. One that fails in its run says so in its report.

    Nothing is written before the database has let us in and all tables and columns are known to be there.
    """
    # Imported here: who ingests files alone needs no PostgreSQL driver.
    from ingest.postgres.asked import targets
    from ingest.postgres.database import Database
    from ingest.postgres.dsn import parse_dsn
    from ingest.postgres.follow import check, fill

    reports = []
    with Database(parse_dsn(dsn)) as database:
        found, left = targets(database, asked)
        where = database.dsn
        for target in found if asked.follow else ():
            check(where, target.plan)
        if where.password:
            Secrets(home.secrets, home.locks).put(where.secret_name, where.password)
        tools = Tools(embedder, counter)
        for target in found:
            with open_store(home, store, on_event) as writer:
                name = f"{where.connection}/{target.plan.table.full_name}"
                runs = Runs(writer, tools, options, on_event)
                run = runs.by_name("postgres", name, {**target.spec, "follow": asked.follow})
                try:
                    with closing(run):
                        for notice in (*left, *target.notices):
                            run.notice(notice)
                        fill(run, database, target.plan, follow=asked.follow, limit=options.slot_wal_bytes)
                    reports.append(run.close())
                except OndolError as error:
                    if len(found) == 1:
                        raise
                    reports.append(run.report(str(error)))
            left = []
    renew(home, reports[0].store, tools, on_event)
    return reports


def preview_postgres(home: Home, dsn: str, asked: Asked, store: str) -> tuple[list[Preview], list[str]]:
    """What `ingest_postgres` would read, and what of a pattern or schema it would leave out and why. Nothing is written."""
    from ingest.postgres.asked import targets
    from ingest.postgres.database import Database
    from ingest.postgres.dsn import parse_dsn
    from ingest.postgres.preview import preview

    held = {source.name: source.documents for source in status(home) if source.store == composed(store) and source.kind == "postgres"}
    with Database(parse_dsn(dsn)) as database:
        found, left = targets(database, asked)
        names = [f"{database.dsn.connection}/{target.plan.table.full_name}" for target in found]
        told = [preview(database, target, held.get(name, 0), follow=asked.follow) for name, target in zip(names, found, strict=True)]
        return told, left


def sync(
    home: Home,
    store: str | None,
    embedder: Embedding,
    counter: Counting,
    *,
    source: str | None = None,
    on_event: OnEvent = silent,
    options: Options = DEFAULTS,
) -> list[Report]:
    """Run every known source again, or those of one store, or one `source`. What fails as a whole says so in its report; the rest goes on.

    NotFound names the sources nearest. Conflict where another process writes the store, and `options.wait` says not to wait for it.
    """
    update_book(home.book, home.locks)
    with open_book(home.book) as book, book.read() as connection:
        known = naming.named(queries.known_sources(connection, store), store, source)
    tools = Tools(embedder, counter)
    reports = []
    with Reading(home.logs, options.limits) as reading:
        filling = Filling(home, Readers(), reading, options)
        for name, kind, source, spec in known:
            with open_store(home, name, on_event, wait=options.wait) as writer:
                try:
                    run = Runs(writer, tools, options, on_event).again(kind, source, spec)
                except OndolError as error:  # another embedder than the store's
                    reports.append(Report(name, source, error=str(error)))
                    continue
                try:
                    with closing(run):
                        filling.again(run, kind, spec)
                    reports.append(run.close())
                except OndolError as error:
                    reports.append(run.report(str(error)))
    for name in dict.fromkeys(name for name, *_ in known):
        try:
            renew(home, name, tools, on_event)
        except OndolError as error:
            reports.append(Report(name, "", error=str(error)))
    return reports


def status(home: Home, slot: SlotOf | None = None) -> list[SourceStatus]:
    """Every source of every store: counts, the last run and the next, and what failed how often. Nothing ingested: an empty list."""
    try:
        with open_book(home.book) as book, book.read() as connection:
            return source_statuses(connection, time.time(), slot)
    except StoreNotFound:
        return []


def forget(home: Home, store: str, *, source: str | None = None, document: str | None = None, on_event: OnEvent = silent) -> Report:
    """Take out of a store: one document, one source with its documents, or (neither named) the whole store. NotFound names the nearest.

    A document forgotten while its source still has it stays out of later syncs, until the source is ingested by name again.
    """
    with open_store(home, store, on_event, create=False) as writer:
        if document is not None:
            return Report(store, document, deleted=forgetting.forget_document(writer, document))
        if source is not None:
            row = naming.find_source(writer, source)
            return Report(store, row.name, deleted=_forget_source(home, writer, row, on_event))
        gone = sum(_forget_source(home, writer, row, on_event) for row in writer.sources())
        writer.forget_store()
        return Report(store, "", deleted=gone)


def _forget_source(home: Home, writer: Writer, row: SourceRow, on_event: OnEvent) -> int:
    if row.state.get("slot"):
        from ingest.postgres.slots import release

        if left := release(home, row.spec, row.state):
            on_event(Notice(writer.store, row.name, left))
    return forgetting.forget_source(home, writer, row)
