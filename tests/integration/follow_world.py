"""A followed table and its store: runs as `ingest sync` makes them, and what the book says beside what the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from ingest_world import World

from ingest.book.writer import open_writer
from ingest.opened import closing
from ingest.postgres.database import Database
from ingest.postgres.dsn import parse_dsn
from ingest.postgres.follow import fill_from_slot, remembered
from ingest.postgres.plan import Wishes, make_plan
from ingest.postgres.slot_facts import Memory
from ingest.report import Notice, Report
from ingest.run import Options, Run, Tools
from models.hash_embedder import WordCounter

DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"


class Followed:
    def __init__(self, root: Path, dsn: str, table: str = "t", **wishes: object) -> None:
        self.world, self.dsn, self.table, self.wishes = World(root), dsn, table, Wishes(**wishes)  # type: ignore[arg-type]
        self.limit = 1_000_000_000

    def beside(self, table: str) -> Followed:
        """Another table of the same database, in the same store."""
        return Followed(self.world.home.root, self.dsn, table, text=("a",))

    def run(self, statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statements)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def sync(self, **options: object) -> Report:
        self.world.events.clear()
        with Database(parse_dsn(self.dsn)) as database, open_writer(self.world.home, "shop") as writer:
            plan, _ = make_plan(database.describe(self.table), self.wishes)
            source = writer.source("postgres", self.table, {"dsn": dict(database.dsn.parameters), "table": self.table, "follow": True})
            tools = Tools(self.world.embedder, WordCounter())
            run = Run(writer, source, tools, Options(**options), self.world.events.append)  # type: ignore[arg-type]
            with closing(run):
                fill_from_slot(run, database, plan, self.limit)
            return run.close()

    @property
    def notices(self) -> str:
        return "\n".join(event.text for event in self.world.events if isinstance(event, Notice))

    def source(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Spec and state of the one source."""
        ((spec, state),) = self.world.sql("SELECT spec, state FROM sources")
        return json.loads(spec), json.loads(state)

    @property
    def memory(self) -> Memory:
        found = remembered(self.source()[1])
        assert found is not None
        return found

    def away(self) -> dict[str, Any]:
        """The source's spec, as if nothing answered where its database was."""
        spec, _ = self.source()
        return spec | {"dsn": {**spec["dsn"], "host": "127.0.0.1", "port": "1"}}

    def slots(self) -> list[str]:
        return [str(name) for (name,) in self.rows("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")]

    def lose_slot(self) -> None:
        self.run(DROP_SLOT)

    def book(self) -> dict[str, str]:
        """Keys and texts of the documents."""
        query = "SELECT d.id, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk"
        return {id.rpartition("/")[2]: text for id, text in self.world.sql(query)}

    def check(self) -> None:
        """The book holds the table's rows, by their key `id` and their text `a`."""
        told = {str(id): f"{a}\n\nid: {id}" for id, a in self.rows(f"SELECT id, a FROM {self.table} WHERE a IS NOT NULL")}
        assert {id: text for id, text in self.book().items() if not text.startswith("id:")} == told
        self.world.check()
