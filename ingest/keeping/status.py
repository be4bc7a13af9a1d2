"""How each source stands: what of it is in, how its last run went, when the next one comes, what failed and when that is tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, cast, func, select

from ingest.book.generations import CURRENT
from ingest.book.schema import chunks, documents, failures, generations, sources, stores
from ingest.book.source_rows import alive
from ingest.keeping import kept
from ingest.keeping.progress import Progress, of_runner
from ingest.keeping.schedule import Outcome, behind, from_plain, next_run


class FailureStatus(msgspec.Struct, frozen=True):
    """An item that could not be read the last time, and how often it was tried. Times in seconds since 1970.

    `next_at`: not read again before that, unless it changes; None where it is set aside until it changes or is asked for.
    """

    item: str
    reason: str
    attempts: int
    last_at: float
    next_at: float | None
    set_aside: bool


class SourceStatus(msgspec.Struct, frozen=True):
    """One source of a store. Times in seconds since 1970, sizes in bytes (vectors: as many as its chunks need, shared ones too).

    `outcome` of the last run: running, ok, failed, interrupted. `failed_runs` in a row. `lag`: seconds since the last good run's end;
    `behind`: by how much that is more than its schedule allows. `next_at` None: never by itself. `slot`: of a table that is followed.
    `progress` of the run under way, from its second second on.
    """

    store: str
    kind: str
    name: str
    documents: int
    chunks: int
    text_bytes: int
    vector_bytes: int
    last_started: float | None
    last_finished: float | None
    last_good: float | None
    last_summary: dict[str, Any] | None
    outcome: Outcome
    failed_runs: int
    schedule: str
    next_at: float | None
    lag: float | None
    behind: float
    failures: tuple[FailureStatus, ...]
    slot: dict[str, Any] | None = None
    progress: Progress | None = None


SlotOf = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None]
"""The slot of a source by its spec and state; None where it has none."""


def source_statuses(connection: Connection, now: float, slot: SlotOf | None = None) -> list[SourceStatus]:
    """Every source with its counts and failures; `slot` asks the database of each table."""
    counted = _counts(connection)
    failed: dict[int, list[FailureStatus]] = {}
    for row in connection.execute(select(failures).order_by(failures.c.item)):
        one = FailureStatus(row.item, row.reason, row.attempts, row.last_at, row.next_at, row.next_at is None)
        failed.setdefault(row.source_id, []).append(one)
    current = select(generations.c.store_id, generations.c.dimensions).where(generations.c.state == CURRENT)
    width = {row.store_id: row.dimensions for row in connection.execute(current)}
    rows = connection.execute(
        select(sources, stores.c.name.label("store")).join(stores, stores.c.id == sources.c.store_id).order_by(stores.c.name, sources.c.id)
    )
    return [
        _status(
            row._mapping,
            counted.get(row.id, (0, 0, 0)),
            width.get(row.store_id, 0),
            tuple(failed.get(row.id, ())),
            now,
            slot(row.spec, row.state) if slot is not None and row.kind == "postgres" else None,
        )
        for row in rows.all()
    ]


def _status(
    row: Any, counted: tuple[int, int, int], width: int, failed: tuple[FailureStatus, ...], now: float, slot: dict[str, Any] | None
) -> SourceStatus:
    schedule, past = from_plain(row["schedule"]), kept.past(row)
    held, cut, text = counted
    good = row["last_good"]
    running = row["outcome"] == "running" and alive(row["runner"])
    return SourceStatus(
        row["store"],
        row["kind"],
        row["name"],
        held,
        cut,
        text,
        cut * width * 4,
        row["last_started"],
        row["last_finished"],
        good,
        row["last_summary"],
        "running" if running else past.outcome,
        past.failed_runs,
        schedule.words if schedule else "",
        next_run(schedule, past, now),
        None if good is None else max(0.0, now - good),
        behind(schedule, past, now),
        failed,
        slot,
        of_runner(row["runner"]) if running else None,
    )


def _counts(connection: Connection) -> dict[int, tuple[int, int, int]]:
    """Documents, chunks and bytes of text by source."""
    held = {row[0]: row[1] for row in connection.execute(select(documents.c.source_id, func.count()).group_by(documents.c.source_id))}
    sizes = select(documents.c.source_id, func.count(), func.sum(func.length(cast(chunks.c.text, LargeBinary))))
    cut = {
        row[0]: (row[1], row[2])
        for row in connection.execute(sizes.join(chunks, chunks.c.document_pk == documents.c.pk).group_by(documents.c.source_id))
    }
    return {source: (count, *cut.get(source, (0, 0))) for source, count in held.items()}
