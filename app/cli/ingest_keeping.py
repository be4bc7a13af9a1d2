"""`ondol ingest status`, `schedule`, `watch`, `retry`, `rebuild`, `vacuum`: how sources stand, when they are read again, their disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import ingest
from app.cli.options import Cron, Every, Json, OnChange, OneSource, OneStore, TheStore
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.core.paths import Home
    from ingest.keeping.progress import Progress
    from ingest.keeping.status import SourceStatus
    from ingest.report import Event, Report

command = ingest.command


@command.command()
def status(json: Json = False) -> None:
    """Show stores and sources: what is in, the last run and the next, failures with their next try, and the disk."""
    out = Output(json=json)

    def work() -> int:
        import msgspec

        from app.cli.standalone import prepared
        from app.core.paths import Home
        from ingest.keeping.disk import disk_use, spell
        from ingest.sync import status as all_sources

        home = Home.find()
        limit = prepared(home, "ingest").ingest.slot_wal_megabytes * 1_000_000

        def slot(spec: Any, state: Any) -> dict[str, Any] | None:
            if not spec.get("follow"):
                return None
            from ingest.postgres.slots import slot_state

            found = slot_state(home, spec, state, limit)
            return None if found is None else msgspec.to_builtins(found)

        found = all_sources(home, slot)
        for one in found:
            out.data(msgspec.to_builtins(one))
            for line in lines(one, time.time()):
                out.text(line)
        if not found:
            out.text("Nothing was ingested yet: `ondol ingest files PATH --into STORE`.")
        elif home.book.exists():
            use = disk_use(home)
            out.data({"event": "disk", **msgspec.to_builtins(use)})
            out.text(
                f"On the disk: {spell(use.book)} book, {spell(use.index)} index, {spell(use.cache)} cache; {spell(use.free)} are free."
            )
        return 1 if any(one.failures for one in found) else 0

    guarded(work, out)


@command.command()
def schedule(
    store: TheStore,
    source: OneSource = "",
    every: Every = "",
    cron: Cron = "",
    on_change: OnChange = False,
    never: Annotated[bool, typer.Option("--never", help="Not by itself any more.")] = False,
    json: Json = False,
) -> None:
    """Choose when the running server reads a source again, or show what is chosen. Takes effect within seconds."""
    out = Output(json=json)

    def work() -> None:
        from app.cli.standalone import prepared
        from app.core.errors import BadRequest
        from app.core.paths import Home
        from ingest.keeping.choosing import choose

        if never and (every or cron or on_change):
            raise BadRequest("--never goes with no other time.", param="never")
        home = Home.find()
        prepared(home, "ingest")
        chosen = choose(home, store, source or None, every, cron, on_change=on_change, never=never)
        for key, words in chosen:
            out.data({"event": "schedule", "store": key.store, "source": key.name, "schedule": words})
            out.text(f"{key.store}: {key.name}: {words or 'never by itself'}")

    guarded(work, out)


@command.command()
def watch(
    store: OneStore = "",
    every: Annotated[
        str,
        typer.Option("--every", metavar="15m", help="How often tables are read, and folders looked through, without a time of their own."),
    ] = "5m",
    json: Json = False,
) -> None:
    """Keep sources fresh until Ctrl-C: folders as soon as something changes in them, tables every so often or at their own times."""
    out = Output(json=json)

    def work() -> None:
        import asyncio

        from app.cli.standalone import prepared
        from app.cli.watching import watch as keep
        from app.core.paths import Home
        from ingest.keeping.schedule import seconds

        home = Home.find()
        settings = prepared(home, "ingest")
        asyncio.run(keep(home, out, store or None, seconds(every), settings.ingest.stuck_minutes * 60))

    guarded(work, out)


@command.command()
def retry(
    items: Annotated[list[str] | None, typer.Argument(help="Only these items, as `ondol ingest status` names them.")] = None,
    store: OneStore = "",
    source: OneSource = "",
    json: Json = False,
) -> None:
    """Read again now what failed, whatever its next try: items, also those set aside, and sources that stopped as a whole."""
    out = Output(json=json)

    def run(home: Home, tools: dict[str, Any]) -> list[Report]:
        from dataclasses import replace

        from ingest.keeping.retry import chosen
        from ingest.sync import sync

        wanted = chosen(home, store or None, source or None, items or ())
        reports: list[Report] = []
        for (name, of), failed in wanted.items():
            options = replace(tools["options"], retry=failed)
            reports += sync(home, name, source=of, **{**tools, "options": options})
        if not wanted:
            out.text("Nothing failed.")
        return reports

    ingest.work(out, run)


@command.command()
def rebuild(store: OneStore = "", json: Json = False) -> None:
    """Read and cut everything again, and build the index anew; searches go on. Texts that stay the same are not embedded again."""
    out = Output(json=json)

    def run(home: Home, tools: dict[str, Any]) -> list[Report]:
        from ingest.keeping.rebuild import rebuild as again

        return again(home, store or None, **tools)

    ingest.work(out, run)


@command.command()
def vacuum(json: Json = False) -> None:
    """Give disk back: what documents that are gone have left in the book and the index. A running server need not stop."""
    out = Output(json=json)

    def work() -> None:
        import msgspec

        from app.cli.standalone import prepared
        from app.core.paths import Home
        from ingest.keeping.disk import spell
        from ingest.keeping.vacuum import vacuum as give_back
        from ingest.report import Waiting

        def tell(event: Event) -> None:
            if isinstance(event, Waiting):
                out.note(f"Waiting: the store '{event.store}' is being written by {event.holder}.")

        home = Home.find()
        prepared(home, "ingest")
        done = give_back(home, tell)
        out.data({"event": "vacuumed", **msgspec.to_builtins(done)})
        out.text(
            f"{spell(done.before.total)} before, {spell(done.after.total)} now: book {spell(done.after.book)}, "
            f"index {spell(done.after.index)}, cache {spell(done.after.cache)}."
        )
        if not done.rewritten:
            out.text("The book had next to nothing to give back and was left as it is.")

    guarded(work, out)


def lines(one: SourceStatus, now: float) -> list[str]:
    """A source's state for people."""
    from ingest.keeping.disk import spell

    told = [f"{one.store}: {one.kind} {one.name}"]
    told.append(
        f"    {one.documents} documents, {one.chunks} chunks, {spell(one.text_bytes)} of text, {spell(one.vector_bytes)} of vectors"
    )
    took = (one.last_summary or {}).get("seconds")
    ran = f"last run {_at(one.last_finished)}" + (f", {took:.1f} s" if took is not None else "")
    if one.outcome == "running":
        told.append(f"    running for {_long(now - (one.last_started or now))}{_progress(one.progress)}")
    told.append(f"    {ran}; " + ("never read to its end yet" if one.lag is None else f"as the source was {_long(one.lag)} ago"))
    if error := (one.last_summary or {}).get("error"):
        again = f" ({one.failed_runs} times in a row)" if one.failed_runs > 1 else ""
        told.append(f"    stopped{again}: {error}")
    if one.schedule:
        due = "as soon as its turn comes" if one.next_at is not None and one.next_at <= now else f"next {_at(one.next_at)}"
        late = f"; {_long(one.behind)} behind" if one.behind >= 60 else ""
        told.append(f"    {one.schedule}, {due}{late}")
    else:
        told.append("    not read again by itself: `ondol ingest schedule` chooses when")
    if one.slot:
        said = one.slot.get("error") or f"{one.slot.get('wal_status')}, {spell(one.slot.get('behind_bytes', 0))} behind"
        told += [f"    slot {one.slot.get('name')}: {said}", *(f"    warning: {text}" for text in one.slot.get("warnings", ()))]
    for failed in one.failures:
        when = "set aside: `ondol ingest retry`" if failed.set_aside else f"next try {_at(failed.next_at)}"
        told.append(f"    failed {failed.attempts}x: {failed.item}: {failed.reason} ({when})")
    return told


def _at(at: float | None) -> str:
    import datetime

    return "never" if at is None else datetime.datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")


def _long(seconds: float) -> str:
    """Of the units of time the largest that says enough."""
    units = (("days", 86_400), ("h", 3600), ("min", 60))
    return next((f"{int(seconds // size)} {unit}" for unit, size in units if seconds >= 2 * size), f"{max(0, int(seconds))} s")


def _progress(found: Progress | None) -> str:
    if found is None:
        return ""
    return f": {found.items:,}" + (f" of {found.total:,} ({found.items / found.total:.0%})" if found.total else " items")
