"""`ondol ingest ...`: rows and files into a store, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.ingest_generation import command as generations
from app.cli.ingest_slot import command as slots
from app.cli.options import Cron, Every, Into, Json, OnChange, OneSource, OneStore, TheStore
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.core.paths import Home
    from ingest.postgres.asked import Asked
    from ingest.report import Report

command = typer.Typer(help="Fill stores from files and PostgreSQL. A running server need not stop.", no_args_is_help=True)
command.add_typer(generations, name="generation")
command.add_typer(slots, name="slot")

SETTLE_SECONDS = 2.0
"""A file changed a moment ago is still in the writing: a run by itself leaves it for the next one."""
AllowDelete = Annotated[bool, typer.Option("--allow-delete", help="Also when most of a source has vanished: take it out of the store.")]


@command.command()
def files(
    paths: Annotated[list[str], typer.Argument(help="Files and folders; also s3://BUCKET/PREFIX, gs://..., az://...")],
    into: Into,
    every: Every = "",
    cron: Cron = "",
    on_change: OnChange = False,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Also read what links lead to outside of the folder.")] = False,
    allow_delete: AllowDelete = False,
    json: Json = False,
) -> None:
    """Read files and folders into a store. Run it again after changes: only what changed is read anew."""
    out = Output(json=json)

    def run(home: Home, tools: dict[str, Any]) -> list[Report]:
        from ingest.remote.address import is_remote
        from ingest.sync import ingest_files

        kind = "bucket" if any(map(is_remote, paths)) else "files"
        return [ingest_files(home, paths, into, **_scheduled(tools, every, cron, on_change=on_change, kind=kind))]

    work(out, run, allow_delete=allow_delete, follow_links=follow_links)


@command.command()
def postgres(
    dsn: Annotated[str, typer.Argument(help="postgresql://USER@HOST/DATABASE; the password there, in PGPASSWORD or in ~/.pgpass.")],
    into: Into,
    table: Annotated[
        list[str] | None, typer.Option("--table", help='A table or view, with its schema where needed; again for more; "sales.*" for many.')
    ] = None,
    schema: Annotated[list[str] | None, typer.Option("--schema", help="All tables of this schema; again for more.")] = None,
    query: Annotated[str, typer.Option("--query", metavar="SQL", help="A SELECT in place of tables; with --key and --name.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the query's rows are called.")] = "",
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="COLUMNS", help="Columns that are the text, with commas; else all prose; TABLE=COLUMNS for one."),
    ] = None,
    title: Annotated[
        list[str] | None, typer.Option("--title", metavar="TEMPLATE", help='What a row is called: "{name} ({city})"; TABLE=TEMPLATE.')
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="TEMPLATE", help='Where a row is shown: "https://crm.example/t/{id}"; TABLE=TEMPLATE.'),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="COLUMNS", help="Columns to filter by that are not said; TABLE=COLUMNS.")
    ] = None,
    access_column: Annotated[
        list[str] | None,
        typer.Option("--access-column", metavar="COLUMN", help="Its values are the groups that may see the row; none: the owner alone."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="COLUMNS", help="What tells rows apart where the table has no primary key; TABLE=COLUMNS."),
    ] = None,
    parents: Annotated[bool, typer.Option("--parents/--no-parents", help="Say the names of what foreign keys point at.")] = True,
    follow: Annotated[
        bool, typer.Option("--follow", help="Let a logical slot of the database tell what changes, not a comparison; needs REPLICATION.")
    ] = False,
    every: Every = "",
    cron: Cron = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be read, with an example; write nothing.")] = False,
    allow_delete: AllowDelete = False,
    json: Json = False,
) -> None:
    """Read PostgreSQL tables into a store: each row is a document. SELECT is all that it needs."""
    out = Output(json=json)

    def asked() -> Asked:
        from ingest.postgres.asked import Asked

        given = {"text": text, "title": title, "key": key, "url": url, "metadata": metadata, "access": access_column}
        lists = {option: tuple(values or ()) for option, values in given.items()}
        chosen = {"query": query, "name": name, "parents": parents, "follow": follow}
        return Asked(tables=tuple(table or ()), schemas=tuple(schema or ()), **chosen, **lists)  # type: ignore[arg-type]

    if dry_run:
        from app.cli.ingest_preview import show

        guarded(lambda: show(out, dsn, asked(), into), out)

    def run(home: Home, tools: dict[str, Any]) -> list[Report]:
        from ingest.sync import ingest_postgres

        return ingest_postgres(home, dsn, asked(), into, **_scheduled(tools, every, cron, on_change=False, kind="postgres"))

    work(out, run, allow_delete=allow_delete)


@command.command()
def sync(
    store: OneStore = "",
    source: OneSource = "",
    allow_delete: AllowDelete = False,
    json: Json = False,
    gently: Annotated[bool, typer.Option("--gently", help="At low priority, and not at all while another run writes the store.")] = False,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Read every known source again: new, changed and deleted rows and files."""
    out = Output(json=json)
    if gently:
        from ingest.keeping.priority import lower

        lower()
    if until_stdin_closes:
        import os

        from app.cli import stdin

        # Not in order: a batch is in the book or it isn't, and a worker whose parent has ended ends by itself.
        stdin.when_closed(lambda: os._exit(130))

    def run(home: Home, tools: dict[str, Any]) -> list[Report]:
        from ingest.sync import sync as sync_all

        return sync_all(home, store or None, source=source or None, **tools)

    work(out, run, allow_delete=allow_delete, **({"wait": False, "settle": SETTLE_SECONDS} if gently else {}))


@command.command()
def forget(
    store: TheStore,
    source: OneSource = "",
    document: Annotated[str, typer.Option("--document", help="Only this document, by its id.")] = "",
    json: Json = False,
) -> None:
    """Take a document, a source, or the whole store out. The files and rows themselves stay as they are."""
    out = Output(json=json)

    def work() -> None:
        from app.cli.standalone import prepared
        from app.core.paths import Home
        from ingest.report import Event, Notice
        from ingest.sync import forget as take_out

        def tell(event: Event) -> None:
            if isinstance(event, Notice):
                out.note(event.text)

        home = Home.find()
        prepared(home, "ingest")
        report = take_out(home, store, source=source or None, document=document or None, on_event=tell)
        out.data({"event": "forgotten", "store": store, "deleted": report.deleted})
        out.text(f"{report.deleted} documents are forgotten.")

    guarded(work, out)


def _scheduled(tools: dict[str, Any], every: str, cron: str, *, on_change: bool, kind: str) -> dict[str, Any]:
    import time
    from dataclasses import replace

    from ingest.keeping.schedule import make_schedule

    chosen = make_schedule(every, cron, on_change=on_change, kind=kind, now=time.time())
    return {**tools, "options": replace(tools["options"], schedule=chosen)}


def work(out: Output, run: Callable[[Home, dict[str, Any]], list[Report]], *, allow_delete: bool = False, **more: Any) -> None:
    """Run something over the home with what every run needs, and say what came of it. `more`: of the run's options."""

    def doing() -> int:
        from app.cli.progress import Shown
        from app.cli.standalone import embedders, embedding_model, prepared
        from app.core.paths import Home
        from ingest.chunking import ChunkOptions
        from ingest.keeping.progress import ProgressKept
        from ingest.options import Options
        from ingest.readers.contract import TESSERACT, Limits

        home = Home.find()
        settings = prepared(home, "ingest")
        chosen = settings.ingest
        os.environ[TESSERACT] = chosen.tesseract  # for the processes that read files
        options = Options(
            chunk=ChunkOptions(tokens=chosen.chunk_tokens, overlap=chosen.chunk_overlap),
            limits=Limits(
                file_bytes=int(chosen.max_file_megabytes * 1_000_000),
                seconds=chosen.read_seconds,
                memory_bytes=int(chosen.read_memory_megabytes * 1_000_000),
                pages=chosen.max_pages,
                unpacked_bytes=int(chosen.max_unpacked_megabytes * 1_000_000),
            ),
            delete_guard=chosen.delete_guard,
            slot_wal_bytes=chosen.slot_wal_megabytes * 1_000_000,
            allow_delete=allow_delete,
            **more,
        )

        def counter() -> Any:
            from models.tokenizer import ModelTokenCounter

            return ModelTokenCounter(embedding_model(home, settings))

        with Shown(out) as shown:
            kept = ProgressKept(home, shown.event)
            tools = {"embedder": embedders(home, settings), "counter": counter, "on_event": kept.event, "options": options}
            reports = run(home, tools)
        for report in reports:
            _tell(out, report)
        return 0 if all(report.ok for report in reports) else 1

    guarded(doing, out)


def _tell(out: Output, report: Report) -> None:
    import msgspec

    out.data({"event": "report", **msgspec.to_builtins(report)})
    counts = ", ".join(f"{getattr(report, name)} {name}" for name in ("added", "changed", "unchanged", "deleted") if getattr(report, name))
    more = f", {report.moved} of them moved" if report.moved else ""
    more += f", {report.skipped} skipped (no reader for their kind)" if report.skipped else ""
    more += f", {report.waiting} that failed before wait for their next try" if report.waiting else ""
    out.text(f"{report.store} <- {report.source}: {counts or 'nothing new'}{more}; {report.chunks} chunks, {report.seconds:.1f} s")
    for failed in report.failed:
        out.note(f"failed: {failed.item}: {failed.reason}")
    if report.error:
        out.note(f"stopped: {report.error}")
