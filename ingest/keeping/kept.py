"""What the book says of its sources to whoever keeps them fresh: read in plain sqlite3, quickly enough for every few seconds."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.core.paths import Home
from ingest.book import source_rows
from ingest.book.engine import translated, writing
from ingest.book.schema import sources, stores
from ingest.index import book_view
from ingest.keeping.schedule import Past, Schedule, from_plain


class Key(NamedTuple):
    """Which source."""

    store: str
    name: str


class Kept(msgspec.Struct, frozen=True):
    """A source with its schedule and its past. `path`: of a folder or file. `alive`: a process runs it at this moment."""

    key: Key
    kind: str
    path: str
    schedule: Schedule | None
    past: Past
    alive: bool


def read_kept(book: Path) -> list[Kept]:
    """Every source; none where there is no book. A book that can't be read raises sqlite3.Error."""
    if not book.exists():
        return []
    with contextlib.closing(book_view.connect(book)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT s.id, t.name AS store, s.name, s.kind, s.spec, s.schedule, s.last_started, s.last_finished, s.last_good,"
            " s.outcome, s.failed_runs, s.runner FROM sources s JOIN stores t ON t.id = s.store_id ORDER BY t.name, s.id"
        ).fetchall()
    return [
        Kept(
            Key(row["store"], row["name"]),
            row["kind"],
            str(_plain(row["spec"]).get("path", "")),
            from_plain(_plain(row["schedule"])),
            past(row),
            row["outcome"] == "running" and source_rows.alive(_plain(row["runner"])),
        )
        for row in rows
    ]


def past(row: Any) -> Past:
    """Of a row of `sources`. A run that is marked as under way by a process that has gone was a failure."""
    died = row["outcome"] == "running" and not source_rows.alive(_plain(row["runner"]))
    # The spread of the next try follows from the last run itself: whoever asks gets the same moment, also after a restart.
    chance = random.Random(f"{row['id']} {row['last_started']}").random()  # noqa: S311
    return Past(
        row["last_started"],
        row["last_finished"],
        row["last_good"],
        "failed" if died else row["outcome"],
        row["failed_runs"] + died,
        chance,
    )


def record_dead(home: Home, key: Key, reason: str, now: float) -> None:
    """Write down that a run ended without a word (killed, or it never began), so that it counts."""
    with writing(home) as engine, translated(), engine.begin() as connection:
        mine = (stores.c.name == key.store, sources.c.name == key.name)
        found = connection.execute(sources.select().join(stores, stores.c.id == sources.c.store_id).where(*mine)).first()
        if found is not None and not source_rows.alive(found.runner):
            source_rows.finish(connection, found.id, {**(found.last_summary or {}), "error": reason}, None, now)


def _plain(text: Any) -> dict[str, Any]:
    found = json.loads(text) if isinstance(text, str) and text else text
    return found if isinstance(found, dict) else {}
