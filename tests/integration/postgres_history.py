"""Random histories of a table with eight writers at once, and what its documents must be after each sync.

One thread drives all connections, so that a seed is a history: what is open, what is committed late, which savepoint is rolled back.
What would block (a TRUNCATE beside somebody's open transaction) is given up after a moment, as a program would.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from ingest_world import World
from psycopg import errors

from ingest.postgres.snapshot import Snapshot

WRITERS = 8
IDS = 12  # of each writer: few, so that keys go and come again


class Table:
    """What a history writes to: `things`, in one of several builds, with the table `owners` that it points at."""

    def __init__(self, dsn: str, schema: str, build: str) -> None:
        self.dsn, self.schema, self.build = dsn, schema, build
        parts = ""
        if build == "partitioned":
            parts = "PARTITION BY RANGE (n); CREATE TABLE low PARTITION OF things FOR VALUES FROM (MINVALUE) TO (50);"
            parts += "CREATE TABLE high PARTITION OF things FOR VALUES FROM (50) TO (MAXVALUE)"
        key = "PRIMARY KEY (id, n)" if build == "partitioned" else "PRIMARY KEY (id)"
        self.run(
            f"CREATE SCHEMA {schema}; SET search_path = {schema};"
            "CREATE TYPE mood AS ENUM ('calm', 'angry');"
            "CREATE TABLE owners (id int PRIMARY KEY, name text NOT NULL);"
            "INSERT INTO owners SELECT o, 'owner ' || o FROM generate_series(0, 7) o;"
            "CREATE TABLE things (id text, n int NOT NULL, body text, mood mood, tags text[], owner_id int REFERENCES owners, "
            f"{key}) {parts};"
            f"INSERT INTO things SELECT w || '-' || i, i, 'body ' || i, 'calm', ARRAY['a', 'b'], w FROM generate_series(0, 7) w, "
            f"generate_series(0, {IDS // 2}) i;"
            "CREATE VIEW seen AS SELECT * FROM things;"
        )

    @property
    def source(self) -> str:
        return f"{self.schema}.{'seen' if self.build == 'view' else 'things'}"

    @property
    def key(self) -> list[str]:
        return ["id"] if self.build == "view" else []

    def run(self, statements: str) -> None:
        with self.connect() as connection:
            connection.autocommit = True
            connection.execute(statements)  # type: ignore[call-overload]

    def connect(self) -> psycopg.Connection[Any]:
        options = "-c lock_timeout=20 -c statement_timeout=20s" + (f" -c search_path={self.schema}" if self.schema else "")
        return psycopg.connect(self.dsn, options=options)

    def truth(self) -> dict[str, str]:
        """Text by key, put together without any of our code."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT t.id, t.n, t.body, t.mood, t.tags, t.owner_id, o.name FROM things t LEFT JOIN owners o ON o.id = t.owner_id"
            ).fetchall()
        said: dict[str, str] = {}
        for id, n, body, mood, tags, owner, name in rows:
            facts = {"id": id, "n": n, "mood": mood, "tags": ", ".join(tag for tag in tags or () if tag is not None), "owner_id": owner}
            if self.build != "view":
                facts["owner"] = name
            lines = "\n".join(f"{column}: {value}" for column, value in facts.items() if value not in (None, ""))
            key = f"{id},{n}" if self.build == "partitioned" else id
            said[key] = f"{body}\n\n{lines}" if body else lines
        return said


class History:
    """A seed's course of events."""

    def __init__(self, table: Table, seed: int) -> None:
        self.table, self.random = table, random.Random(seed)
        self.writers = [table.connect() for _ in range(WRITERS)]
        self.savepoints = [0] * WRITERS
        self.told: list[str] = []

    def close(self) -> None:
        for writer in self.writers:
            writer.close()

    def step(self) -> None:
        """One writer does one thing; now and then something befalls the whole table."""
        number = self.random.randrange(WRITERS)
        if self.random.random() < 0.06:
            self._try(self.random.choice(self._disasters()), number)
            return
        choices: list[tuple[int, Callable[[int], None]]] = [
            (4, self._insert),
            (5, self._update),
            (3, self._delete),
            (2, self._rekey),
            (2, self._again),
            (3, self._savepoint),
            (2, self._roll_back_to),
            (1, self._owner),
            (5, self._commit),
            (2, self._rollback),
        ]
        self._try(self.random.choices([act for _, act in choices], [weight for weight, _ in choices])[0], number)

    def quiet(self) -> None:
        """Everybody commits or gives up."""
        for number in range(WRITERS):
            (self._commit if self.random.random() < 0.7 else self._rollback)(number)

    def _try(self, act: Callable[[int], None], number: int) -> None:
        self.told.append(f"{number}:{act.__name__}")
        try:
            act(number)
        except (errors.LockNotAvailable, errors.UniqueViolation, errors.QueryCanceled, errors.DeadlockDetected, errors.ForeignKeyViolation):
            self._rollback(number)

    def _do(self, number: int, statement: str, *values: object) -> None:
        self.writers[number].execute(statement, values or None)  # type: ignore[call-overload]

    def _id(self, number: int) -> str:
        return f"{number}-{self.random.randrange(IDS)}"

    def _insert(self, number: int) -> None:
        values = (self._id(number), self.random.randrange(100), f"new {self.random.random()}", self.random.randrange(8))
        self._do(number, "INSERT INTO things VALUES (%s, %s, %s, 'angry', NULL, %s) ON CONFLICT DO NOTHING", *values)

    def _update(self, number: int) -> None:
        change = self.random.choice(["body = %s", "body = nullif(%s, '')", "tags = ARRAY[%s, NULL]", "mood = 'calm', body = %s"])
        self._do(number, f"UPDATE things SET {change} WHERE id = %s", f"changed {self.random.random()}", self._id(number))

    def _delete(self, number: int) -> None:
        self._do(number, "DELETE FROM things WHERE id = %s", self._id(number))

    def _rekey(self, number: int) -> None:
        self._do(number, "UPDATE things SET id = %s, n = %s WHERE id = %s", self._id(number), self.random.randrange(100), self._id(number))

    def _again(self, number: int) -> None:
        id = self._id(number)
        self._do(number, "DELETE FROM things WHERE id = %s", id)
        self._do(number, "INSERT INTO things VALUES (%s, 7, 'again', NULL, NULL, NULL)", id)

    def _savepoint(self, number: int) -> None:
        self.savepoints[number] += 1
        self._do(number, f"SAVEPOINT s{self.savepoints[number]}")
        self._update(number)
        if self.random.random() < 0.5:
            self._insert(number)

    def _roll_back_to(self, number: int) -> None:
        if self.savepoints[number]:
            self._do(number, f"ROLLBACK TO SAVEPOINT s{self.savepoints[number]}")

    def _owner(self, number: int) -> None:
        self._do(number, "UPDATE owners SET name = %s WHERE id = %s", f"name {self.random.random()}", number)

    def _commit(self, number: int) -> None:
        self.writers[number].commit()
        self.savepoints[number] = 0

    def _rollback(self, number: int) -> None:
        self.writers[number].rollback()
        self.savepoints[number] = 0

    def _disasters(self) -> list[Callable[[int], None]]:
        return [self._truncate, self._vacuum, self._burn, self._rewrite, self._rename_mood, self._replace, self._other_column]

    def _truncate(self, number: int) -> None:
        self._do(number, "TRUNCATE things")
        if self.random.random() < 0.5:
            self._insert(number)
        self._commit(number)  # what it locks can't be read until then

    def _alone(self, statement: str) -> None:
        with self.table.connect() as connection:
            connection.autocommit = True
            connection.execute(statement)  # type: ignore[call-overload]

    def _vacuum(self, number: int) -> None:
        self._alone(self.random.choice(["VACUUM (FREEZE) things", "VACUUM FULL things", "ANALYZE things"]))

    def _burn(self, number: int) -> None:
        self._alone("DO $$BEGIN FOR i IN 1..40 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$")

    def _rewrite(self, number: int) -> None:
        if self.table.build == "table":
            upper = (
                "DROP VIEW seen; ALTER TABLE things ALTER COLUMN body TYPE text USING upper(body);CREATE VIEW seen AS SELECT * FROM things"
            )
            self._alone(self.random.choice([upper, "CLUSTER things USING things_pkey"]))

    def _rename_mood(self, number: int) -> None:
        rename, add = "ALTER TYPE mood RENAME VALUE 'calm' TO 'still'", "ALTER TYPE mood ADD VALUE IF NOT EXISTS"
        with contextlib.suppress(errors.InvalidParameterValue, errors.DuplicateObject):
            self._alone(self.random.choice([rename, f"{add} 'glad'"]))
            self._alone(f"{add} 'calm'")

    def _replace(self, number: int) -> None:
        """Another table under the same name, with the same keys and older rows: a restore of a dump."""
        if self.table.build == "table":
            self._alone(
                "DROP VIEW seen; CREATE TABLE other (LIKE things INCLUDING ALL);"
                "INSERT INTO other SELECT id, n, 'restored ' || n, mood, tags, owner_id FROM things; DROP TABLE things;"
                "ALTER TABLE other RENAME TO things; ALTER INDEX other_pkey RENAME TO things_pkey;"
                "ALTER TABLE things ADD FOREIGN KEY (owner_id) REFERENCES owners; CREATE VIEW seen AS SELECT * FROM things"
            )

    def _other_column(self, number: int) -> None:
        if self.table.build == "table":
            self._alone("ALTER TABLE things ADD COLUMN extra bytea DEFAULT '\\x01'; ALTER TABLE things DROP COLUMN extra")


class Paths:
    """Counts which way runs went: every row looked at, or the changed ones alone."""

    def __init__(self) -> None:
        self.all = self.some = self.none = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        rows, recent = Snapshot.rows, Snapshot.recent

        def count_rows(snapshot: Snapshot, reach: int | None) -> Any:
            self.all, self.some = self.all + (reach is None), self.some + (reach is not None)
            return rows(snapshot, reach)

        def count_recent(snapshot: Snapshot, reach: int) -> Any:
            self.none += 1
            return recent(snapshot, reach)

        Snapshot.rows, Snapshot.recent = count_rows, count_recent  # type: ignore[method-assign]
        try:
            yield
        finally:
            Snapshot.rows, Snapshot.recent = rows, recent  # type: ignore[method-assign]


def held(world: World, store: str) -> dict[str, str]:
    """Text by key, as the book has it."""
    query = """
        SELECT d.id, group_concat(c.text, '\n\n') FROM documents d JOIN chunks c ON c.document_pk = d.pk
        JOIN stores s ON s.id = d.store_id WHERE s.name = ? GROUP BY d.id
    """
    return {id.rsplit("/", 1)[1].replace("%2C", ","): text for id, text in world.sql(query, store)}


def live(world: World, dsn: str, seed: int, paths: Paths, *, steps: int = 60) -> None:
    """A history, synced at random moments: after each the book is the table."""
    chance = random.Random(seed)
    build = chance.choice(["table", "table", "table", "partitioned", "view"])
    schema = f"h{seed}"
    table = Table(dsn, schema, build)
    history = History(table, seed)
    try:
        with paths.watched():
            world.table(dsn, table.source, store=schema, key=table.key, text=["body"])
            for number in range(steps):
                history.step()
                if chance.random() < 0.12 or number == steps - 1:
                    if number == steps - 1:
                        history.quiet()
                    report = world.sync(schema, allow_delete=True)
                    assert not report.error, f"seed {seed} ({build}): {report.error}"
                    told, is_there = table.truth(), held(world, schema)
                    assert is_there == told, f"seed {seed} ({build}), step {number}: {history.told[-25:]}"
    finally:
        history.close()
        table.run(f"DROP SCHEMA {schema} CASCADE")
        world.forget(schema)
