"""A home with an embedder that counts what it is asked, and looks into the book with plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from app.core.paths import Home
from ingest.book import engine
from ingest.postgres.asked import Asked
from ingest.report import Event, Report
from ingest.run import Options
from ingest.sync import forget, ingest_files, ingest_postgres, status, sync
from models.embedder import Vectors
from models.hash_embedder import HashEmbedder, WordCounter


class CountingEmbedder(HashEmbedder):
    def __init__(self, name: str = "hash") -> None:
        super().__init__(name=name)
        self.texts: list[str] = []

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().passages(texts)


def _said(name: str, value: Any) -> Any:
    """Columns in a list are what the command line joins with commas; a lone word is said of every table."""
    if isinstance(value, list):
        return (",".join(value),)
    return (value,) if isinstance(value, str) and name not in ("query", "name") else value


def older_book(home: Home) -> None:
    """A book in its first form, with a source that failed."""
    home.book.touch()
    made = engine._engine(home.book, writes=True)
    with made.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(engine.MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO stores (name, created_at) VALUES ('old', 1)")
        connection.exec_driver_sql(
            "INSERT INTO sources (store_id, kind, name, spec, state, last_started) VALUES (1, 'files', '/a', '{}', '{}', 9)"
        )
        connection.exec_driver_sql(
            "INSERT INTO failures (source_id, item, reason, attempts, first_at, last_at) VALUES (1, '/a/x', 'broken', 3, 1, 2)"
        )
    made.dispose()


class World:
    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.embedder = CountingEmbedder()
        self.events: list[Event] = []

    def files(self, *paths: Path, store: str = "notes", **options: Any) -> Report:
        return ingest_files(self.home, paths, store, self.embedder, WordCounter(), on_event=self.events.append, options=Options(**options))

    def table(self, dsn: str, table: str, store: str = "shop", options: Options | None = None, **how: Any) -> Report:
        """`how`: as `Asked` has it; lists of columns may be given."""
        (report,) = self.tables(dsn, store, options, tables=(table,), **how)
        return report

    def tables(self, dsn: str, store: str = "shop", options: Options | None = None, **how: Any) -> list[Report]:
        asked = Asked(**{name: _said(name, value) for name, value in how.items()})
        return ingest_postgres(
            self.home, dsn, asked, store, self.embedder, WordCounter(), on_event=self.events.append, options=options or Options()
        )

    def sync(self, store: str | None = None, **options: Any) -> Report:
        (report,) = sync(self.home, store, self.embedder, WordCounter(), on_event=self.events.append, options=Options(**options))
        return report

    def status(self) -> Any:
        return status(self.home)

    def forget(self, store: str, **what: str) -> Report:
        return forget(self.home, store, **what)

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.home.book)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def documents(self) -> set[str]:
        return {row[0] for row in self.sql("SELECT id FROM documents")}

    def check(self) -> None:
        """What must be true of a book between any two transactions."""
        assert self.sql("PRAGMA integrity_check") == [("ok",)]
        assert self.sql("PRAGMA foreign_key_check") == []
        assert self.sql("SELECT pk FROM documents WHERE pk NOT IN (SELECT document_pk FROM chunks)") == []
        assert self.sql("SELECT document_pk FROM chunks GROUP BY document_pk HAVING max(ordinal) + 1 <> count(*)") == []
        assert self.sql("SELECT c.pk FROM chunks c LEFT JOIN vectors v ON v.text_hash = c.text_hash WHERE v.pk IS NULL") == []
        assert self.sql("SELECT pk FROM chunks EXCEPT SELECT rowid FROM chunk_text") == []
        assert self.sql("SELECT rowid FROM chunk_text EXCEPT SELECT pk FROM chunks") == []
        assert self.replayed() == {row[0] for row in self.sql("SELECT pk FROM chunks")}

    def replayed(self) -> set[int]:
        """What an index holds that has followed the outbox from its beginning."""
        held: set[int] = set()
        for op, pk in self.sql("SELECT op, chunk_pk FROM outbox ORDER BY seq"):
            held.add(pk) if op == "put" else held.discard(pk)
        return held
