"""Rows and files become chunks, vectors and deletions.

Every source is run the same way: what it says now is compared with what the store knows of it; new and changed documents
are cut, embedded and written batch by batch; what it no longer has is removed. Running it again changes nothing; running
it after a kill goes on where the last transaction ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.errors import ItemError, NotFound, OndolError, StoreNotFound, UpstreamError
from app.core.paths import Home
from ingest import forgetting
from ingest.book import queries
from ingest.book.engine import open_book, update_book
from ingest.book.writer import SourceRow, Writer, open_writer
from ingest.documents import Failed
from ingest.embedders import Counting, Embedding, Tools
from ingest.file_source import fill_from_files, look
from ingest.files import file_id, find
from ingest.generations import prepare, renew
from ingest.index.files import taken_in
from ingest.keeping.status import SlotOf, SourceStatus, source_statuses
from ingest.readers.registry import Readers
from ingest.reading.client import Reading
from ingest.reading.whole import failure
from ingest.remote.address import is_remote, local, parse
from ingest.report import Event, ItemFailed, Notice, OnEvent, Report, Waiting, merged
from ingest.run import Options, Run, closing
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
    tools, readers = Tools(embedder, counter), Readers()
    options = replace(options, retry=True)  # who names a path wants it read now
    with _writer(home, store, on_event) as writer, Reading(home.logs, options.limits) as reading:
        reports = [
            _ingest_address(writer, path, readers, reading, tools, options, on_event)
            if isinstance(path, str) and is_remote(path)
            else _ingest_path(writer, local(str(path)), readers, reading, tools, options, on_event)
            for path in paths
        ]
        if not writer.sources():
            writer.forget_store()  # made for paths that all lead nowhere
    renew(home, store, tools, on_event)
    return merged(reports, store)


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
            with _writer(home, store, on_event) as writer:
                name = f"{where.connection}/{target.plan.table.full_name}"
                run = _begin(writer, "postgres", name, {**target.spec, "follow": asked.follow}, tools, options, on_event)
                run.recall_forgotten()
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
    renew(home, store, tools, on_event)
    return reports


def preview_postgres(home: Home, dsn: str, asked: Asked, store: str) -> tuple[list[Preview], list[str]]:
    """What `ingest_postgres` would read, and what of a pattern or schema it would leave out and why. Nothing is written."""
    from ingest.postgres.asked import targets
    from ingest.postgres.database import Database
    from ingest.postgres.dsn import parse_dsn
    from ingest.postgres.preview import preview

    held = {source.name: source.documents for source in status(home) if source.store == store and source.kind == "postgres"}
    with Database(parse_dsn(dsn)) as database:
        found, left = targets(database, asked)
        names = [f"{database.dsn.connection}/{target.plan.table.full_name}" for target in found]
        return [preview(database, target, held.get(name, 0)) for name, target in zip(names, found, strict=True)], left


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
        known = forgetting.named(queries.known_sources(connection, store), store, source)
    tools, readers = Tools(embedder, counter), Readers()
    reports = []
    with Reading(home.logs, options.limits) as reading:
        for name, kind, source, spec in known:
            with _writer(home, name, on_event, wait=options.wait) as writer:
                try:
                    run = _begin(writer, kind, source, spec, tools, options, on_event)
                except OndolError as error:  # another embedder than the store's
                    reports.append(Report(name, source, error=str(error)))
                    continue
                try:
                    with closing(run):
                        _fill_again(run, home, kind, spec, readers, reading, options)
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
    with _writer(home, store, on_event, create=False) as writer:
        if document is not None:
            return Report(store, document, deleted=forgetting.forget_document(writer, document))
        if source is not None:
            row = forgetting.find_source(writer, source)
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


@contextmanager
def _writer(home: Home, store: str, on_event: OnEvent, *, create: bool = True, wait: bool = True) -> Iterator[Writer]:
    with open_writer(home, store, create=create, on_wait=lambda holder: on_event(Waiting(store, holder)), wait=wait) as writer:
        if writer.generation:
            writer.prune_outbox(taken_in(home.index, writer.generation.id))
        yield writer


def _begin(writer: Writer, kind: str, name: str, spec: Mapping[str, Any], tools: Tools, options: Options, on_event: OnEvent) -> Run:
    """A run over a source, made or known. Its labels stay as they were, unless new ones are given."""
    prepare(writer, tools, on_event)
    before = next((row.spec for row in writer.sources() if (row.kind, row.name) == (kind, name)), {})
    labels = {
        "access": before.get("access", []) if options.access is None else list(options.access),
        "may_leave": before.get("may_leave", False) if options.may_leave is None else options.may_leave,
    }
    source = writer.source(kind, name, {**spec, **labels})
    if options.schedule is not None:
        writer.schedule(source.id, options.schedule)
    return Run(writer, source, tools, options, on_event)


def _ingest_path(
    writer: Writer, path: Path, readers: Readers, reading: Reading, tools: Tools, options: Options, on_event: OnEvent
) -> Report:
    try:
        name, walked = file_id(path), find(path, readers)
        failed = walked.failed
    except (NotFound, ItemError) as error:
        name, walked, failed = str(path), None, (Failed(str(path), str(error)),)
    if walked is None or not (walked.files or path.is_dir()):
        return _no_source(writer, name, failed, on_event)
    run = _begin(writer, "files", name, {"path": str(path.expanduser().absolute())}, tools, options, on_event)
    run.recall_forgotten()
    with closing(run):
        fill_from_files(run, walked, reading, folder=path.is_dir())
    return run.close()


def _ingest_address(
    writer: Writer, text: str, readers: Readers, reading: Reading, tools: Tools, options: Options, on_event: OnEvent
) -> Report:
    from ingest.remote.bucket import Bucket
    from ingest.remote.source import bring, look_into

    try:
        bucket = Bucket(parse(text))
        walked = look_into(bucket, readers)
    except ItemError as error:
        return _no_source(writer, text, (failure(text, error),), on_event)
    except (NotFound, UpstreamError) as error:
        return _no_source(writer, text, (Failed(text, str(error)),), on_event)
    run = _begin(writer, "bucket", bucket.address.name, {"address": bucket.address.name}, tools, options, on_event)
    run.recall_forgotten()
    with closing(run):
        fill_from_files(run, walked, reading, folder=True, bring=bring(bucket, walked, options.limits))
    return run.close()


def _no_source(writer: Writer, name: str, failed: Sequence[Failed], on_event: OnEvent) -> Report:
    """Nothing that could be run again later: it is told, and not remembered as a source."""
    for item in failed:
        on_event(ItemFailed(writer.store, name, item.item, item.reason))
    return Report(writer.store, name, failed=tuple(failed))


def _fill_again(run: Run, home: Home, kind: str, spec: Mapping[str, Any], readers: Readers, reading: Reading, options: Options) -> None:
    if kind == "files":
        path = Path(spec["path"])
        fill_from_files(run, look(path, readers, run.state), reading, folder=path.is_dir())
        return
    if kind == "bucket":
        from ingest.remote.bucket import Bucket
        from ingest.remote.source import bring, look_into

        bucket = Bucket(parse(spec["address"]))
        walked = look_into(bucket, readers)
        fill_from_files(run, walked, reading, folder=True, bring=bring(bucket, walked, options.limits))
        return
    from ingest.postgres.asked import plan_of
    from ingest.postgres.database import Database
    from ingest.postgres.dsn import Dsn
    from ingest.postgres.follow import fill

    where = Dsn(spec["dsn"])
    password = Secrets(home.secrets, home.locks).get(where.secret_name)
    with Database(Dsn(spec["dsn"], password)) as database:
        plan, _ = plan_of(database, spec)
        fill(run, database, plan, follow=bool(spec.get("follow")), limit=options.slot_wal_bytes)
