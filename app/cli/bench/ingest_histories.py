"""Ten short histories of a table, and how many of its rows each side has wrong at their end.

A row is wrong where the table has it and the index not in just that form, or where the index has one that the table has no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from app.cli.bench.ingest_sides import Side

if TYPE_CHECKING:
    import psycopg

TABLE = "notes"
ROWS = 20
Told = Callable[[dict[str, Any]], None]


class World(NamedTuple):
    """The server, and a way to have all sides look at the table as it is now."""

    dsn: str
    sync: Callable[[], None]

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction of its own: committed at the block's end."""
        import psycopg

        with psycopg.connect(self.dsn) as connection:
            yield connection


def late_insert(world: World) -> None:
    """A row whose transaction began before a sync and ends after it."""
    with world.connection() as late:
        late.execute("INSERT INTO notes VALUES (101, 'came late', now())")
        with world.connection() as soon:
            soon.execute("INSERT INTO notes VALUES (102, 'came soon', now())")
        world.sync()


def late_update(world: World) -> None:
    """A change that was made before a sync and committed after it."""
    with world.connection() as late:
        late.execute("UPDATE notes SET body = 'changed late', updated_at = now() WHERE id = 3")
        with world.connection() as soon:
            soon.execute("UPDATE notes SET body = 'changed soon', updated_at = now() WHERE id = 4")
        world.sync()


def savepoint(world: World) -> None:
    """Rows written under a savepoint of a long transaction."""
    with world.connection() as long:
        long.execute("SELECT 1")
        long.execute("SAVEPOINT one")
        long.execute("INSERT INTO notes VALUES (103, 'under a savepoint', now())")
        long.execute("RELEASE SAVEPOINT one")
        with world.connection() as soon:
            soon.execute("UPDATE notes SET body = 'meanwhile', updated_at = now() WHERE id = 5")
        world.sync()


def deletion(world: World) -> None:
    """Rows that are deleted."""
    with world.connection() as one:
        one.execute("DELETE FROM notes WHERE id IN (6, 7, 8)")


def late_deletion(world: World) -> None:
    """A deletion that is committed after a sync."""
    with world.connection() as late:
        late.execute("DELETE FROM notes WHERE id = 9")
        world.sync()


def again(world: World) -> None:
    """A row deleted and put back with its old time and another text."""
    with world.connection() as one:
        one.execute("DELETE FROM notes WHERE id = 10")
    world.sync()
    with world.connection() as one:
        one.execute("INSERT INTO notes VALUES (10, 'back again', now() - interval '1 day')")


def key_change(world: World) -> None:
    """A row that gets another key."""
    with world.connection() as one:
        one.execute("UPDATE notes SET id = 111, updated_at = now() WHERE id = 11")


def truncation(world: World) -> None:
    """A table that is emptied and filled from a copy, with the times of the copy."""
    with world.connection() as one:
        one.execute("TRUNCATE notes")
        one.execute("INSERT INTO notes SELECT n, 'restored note ' || n, now() - interval '2 days' FROM generate_series(1, 15) n")


def silent_update(world: World) -> None:
    """A change that leaves `updated_at` as it is."""
    with world.connection() as one:
        one.execute("UPDATE notes SET body = 'changed in silence' WHERE id = 12")


def slow_clock(world: World) -> None:
    """A row written by a program whose clock is behind."""
    with world.connection() as one:
        one.execute("INSERT INTO notes VALUES (112, 'from a slow clock', now() - interval '1 hour')")


HISTORIES: dict[str, Callable[[World], None]] = {
    "a row committed late": late_insert,
    "a change committed late": late_update,
    "a row under a savepoint": savepoint,
    "three rows deleted": deletion,
    "a deletion committed late": late_deletion,
    "deleted, and back with another text": again,
    "a key changed": key_change,
    "emptied and restored": truncation,
    "changed, `updated_at` not": silent_update,
    "written by a slow clock": slow_clock,
}


def measure(dsn: str, running: Sequence[Side], told: Told) -> list[dict[str, Any]]:
    """One line a history: `missed` by side."""
    import psycopg

    def sync() -> None:
        for side in running:
            side.sync()

    said = []
    for name, history in HISTORIES.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS notes")
            connection.execute("CREATE TABLE notes (id int PRIMARY KEY, body text, updated_at timestamptz NOT NULL)")
            connection.execute(
                "INSERT INTO notes SELECT n, 'note number ' || n, now() - interval '1 minute' FROM generate_series(1, %s) n", [ROWS]
            )
        for side in running:
            side.open()
        sync()
        history(World(dsn, sync))
        sync()
        with psycopg.connect(dsn) as connection:
            rows = {str(id): str(body) for id, body in connection.execute("SELECT id, body FROM notes")}
        line = {"history": name, "missed": {side.name: wrong(rows, side.held()) for side in running}}
        told(line)
        said.append(line)
    return said


def wrong(rows: dict[str, str], held: Sequence[tuple[str, str]]) -> int:
    """Rows that the index lacks in their present form, and keys of rows that it has beside them or in another form."""
    right = {key for key, text in held if key in rows and rows[key] in text}
    stale = {key for key, text in held if key not in rows or rows[key] not in text}
    return len((rows.keys() - right) | stale)
