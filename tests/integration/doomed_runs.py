"""Runs of ingest, as processes that are to be killed do them. Each says what is committed, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from doomed import Say, SlowEmbedder

from app.core.paths import Home
from ingest.options import Options
from ingest.postgres.asked import Asked
from ingest.report import Committed, Event
from ingest.sync import ingest_files, ingest_postgres
from models.hash_embedder import WordCounter


def folder_in(say: Say, home: Path, folder: Path) -> None:
    """A folder into the store `notes`."""
    ingest_files(Home(home), [folder], "notes", SlowEmbedder(), WordCounter(), on_event=_committed(say), options=Options(batch_chunks=8))


def table_in(say: Say, home: Path, dsn: str) -> None:
    """The table `things` into the store `shop`."""
    options, embedder = Options(batch_chunks=8, allow_delete=True), SlowEmbedder(seconds=0.003)
    ingest_postgres(Home(home), dsn, Asked(tables=("things",)), "shop", embedder, WordCounter(), on_event=_committed(say), options=options)


def _committed(say: Say) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, Committed):
            say(f"committed {event.documents}")

    return tell
