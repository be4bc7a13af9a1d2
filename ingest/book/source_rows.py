"""What one transaction does to sources and to the items of theirs that failed.

Functions over a connection inside a writing transaction, as in `content`. A run begins (`begin`) and ends (`finish`); one that never
ended is told by its process, which lives no more: it counts as a failure when the next one begins, or when its keeper sees it (`end_dead`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, delete, null, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from app.core.server_record import born
from ingest.book.content import slices
from ingest.book.schema import failures, sources
from ingest.documents import Failed
from ingest.keeping.schedule import Outcome, Schedule, next_try


class FailedBefore(msgspec.Struct, frozen=True):
    """An item that could not be read. `next_at` None: set aside. `version`: of what failed, "" where nobody can tell."""

    item: str
    reason: str
    attempts: int
    last_at: float
    next_at: float | None
    version: str


def begin(connection: Connection, store_id: int, kind: str, name: str, spec: Mapping[str, Any], now: float) -> Row[Any]:
    """The source of this kind and name, made or given the new spec, and marked as being run by this process."""
    started = {"spec": dict(spec), "last_started": now, "outcome": "running", "runner": this_process()}
    statement = upsert(sources).values(store_id=store_id, kind=kind, name=name, state={}, **started)
    # A run that is marked as under way while its store's lock was free has died.
    died = case((sources.c.outcome == "running", sources.c.failed_runs + 1), else_=sources.c.failed_runs)
    connection.execute(statement.on_conflict_do_update(index_elements=["store_id", "kind", "name"], set_={**started, "failed_runs": died}))
    mine = (sources.c.store_id == store_id, sources.c.kind == kind, sources.c.name == name)
    return connection.execute(select(sources).where(*mine)).one()


def finish(connection: Connection, source_id: int, summary: Mapping[str, Any], state: Mapping[str, Any] | None, now: float) -> None:
    """Remember how a run ended (`summary["error"]`) and what its rule must know next time. `state` None: as it was."""
    error = str(summary.get("error") or "")
    outcome: Outcome = "interrupted" if error == "interrupted" else "failed" if error else "ok"
    changed: dict[str, Any] = {"last_finished": now, "last_summary": dict(summary), "outcome": outcome, "runner": null()}
    if outcome == "ok":
        changed |= {"last_good": now, "failed_runs": 0}
    if outcome == "failed":
        changed["failed_runs"] = sources.c.failed_runs + 1
    if state is not None:
        changed["state"] = dict(state)
    connection.execute(update(sources).where(sources.c.id == source_id).values(**changed))


def schedule(connection: Connection, source_id: int, chosen: Schedule | None) -> None:
    """When the source is read again by itself; None: never."""
    value = null() if chosen is None else msgspec.to_builtins(chosen)
    connection.execute(update(sources).where(sources.c.id == source_id).values(schedule=value))


def failed_before(connection: Connection, source_id: int) -> dict[str, FailedBefore]:
    """The source's failing items by their names."""
    columns = [failures.c[name] for name in FailedBefore.__struct_fields__]
    rows = connection.execute(select(*columns).where(failures.c.source_id == source_id).order_by(failures.c.item))
    return {row.item: FailedBefore(*row) for row in rows}


def record_failures(
    connection: Connection,
    source_id: int,
    failed: Sequence[Failed],
    now: float,
    *,
    complete: bool,
    versions: Mapping[str, str],
    untried: Collection[str],
    chance: Callable[[], float] = random.random,
) -> None:
    """Count the attempts of items that failed. A `complete` run forgets those that did not come back, but for the `untried`."""
    known = failed_before(connection, source_id)
    again = {item.item: item.reason for item in failed}
    if complete:
        gone = [item for item in known if item not in again and item not in untried]
        for some in slices(gone):
            connection.execute(delete(failures).where(failures.c.source_id == source_id, failures.c.item.in_(some)))
    rows = []
    for item, reason in again.items():
        before, version = known.get(item), versions.get(item, "")
        attempts = before.attempts + 1 if before is not None and before.version in (version, "") else 1
        first = {"source_id": source_id, "item": item, "first_at": now}
        rows.append(
            {
                **first,
                "reason": reason,
                "attempts": attempts,
                "last_at": now,
                "version": version,
                "next_at": next_try(attempts, now, chance()),
            }
        )
    if rows:
        statement = upsert(failures)
        kept = {name: statement.excluded[name] for name in ("reason", "attempts", "last_at", "version", "next_at")}
        connection.execute(statement.on_conflict_do_update(index_elements=["source_id", "item"], set_=kept), rows)


def this_process() -> dict[str, float]:
    """This process as a later one can know it again."""
    return {"pid": os.getpid(), "born": born(os.getpid()) or 0.0}


def alive(runner: Mapping[str, Any] | None) -> bool:
    """Whether the process that marked a run as under way still lives."""
    if not runner:
        return False
    began = born(int(runner.get("pid", 0)))
    return began is not None and abs(began - float(runner.get("born", 0.0))) < 0.5
