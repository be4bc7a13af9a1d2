"""How far a run is, written down beside it for whoever asks: `ondol ingest status` in another window, or after the terminal was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import select, update

from app.core.errors import OndolError
from app.core.paths import Home
from ingest.book import source_rows
from ingest.book.engine import translated, writing
from ingest.book.schema import sources, stores
from ingest.report import Committed, Event, OnEvent, Started

EVERY_SECONDS = 2.0


class Progress(msgspec.Struct, frozen=True):
    """`items` of `total` (files or rows) are behind; `total` None: not known."""

    items: int
    total: int | None = None


def of_runner(runner: Mapping[str, Any] | None) -> Progress | None:
    """What a run's mark in the book says of it; None where it has told nothing yet."""
    told = (runner or {}).get("progress")
    return msgspec.convert(told, Progress) if told else None


class ProgressKept:
    """Hands a run's events on, and writes at most every other second down how far it is: a run shorter than that writes nothing.

    It stands with the mark of the run's process, so it goes with the run, and a killed run's is never shown.
    """

    def __init__(self, home: Home, on_event: OnEvent, ticks: Callable[[], float] = time.monotonic) -> None:
        self._home, self._on_event, self._ticks = home, on_event, ticks
        self._totals: dict[tuple[str, str], int | None] = {}
        self._written = ticks()

    def event(self, event: Event) -> None:
        """One more."""
        self._on_event(event)
        if isinstance(event, Started):
            self._totals[event.store, event.source] = event.total
        if isinstance(event, Committed) and self._ticks() - self._written >= EVERY_SECONDS:
            # Nobody's run stops because its progress can't be told.
            with contextlib.suppress(OndolError):
                self._write(event.store, event.source, Progress(event.items, self._totals.get((event.store, event.source))))
            self._written = self._ticks()

    def _write(self, store: str, source: str, progress: Progress) -> None:
        mine = source_rows.this_process()
        of_store = select(stores.c.id).where(stores.c.name == store).scalar_subquery()
        row = (sources.c.store_id == of_store, sources.c.name == source, sources.c.runner["pid"].as_integer() == mine["pid"])
        with writing(self._home) as engine, translated(), engine.begin() as connection:
            connection.execute(update(sources).where(*row).values(runner={**mine, "progress": msgspec.to_builtins(progress)}))
