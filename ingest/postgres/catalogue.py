"""What a database's catalogue says: its tables, their columns, what tells their rows apart, whom they point at.

Questions over a connection inside a reading transaction; answers as the plain records of `plan`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from app.core.errors import BadRequest
from ingest.postgres.plan import ColumnInfo, Parent, TableInfo, label_columns

_TABLES = sql("""
    SELECT n.nspname, c.relname, pg_table_is_visible(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
        AND NOT c.relispartition
    ORDER BY 3 DESC, 1, 2
""")

# A type without its length, but as a cast understands it: -1 says bpchar where NULL says character, which would be character(1).
_COLUMNS = sql("""
    SELECT c.oid, c.relkind::text, a.attname, format_type(a.atttypid, -1), t.typcategory, a.attnotnull,
        has_column_privilege(c.oid, a.attnum, 'SELECT'), coalesce(e.typcategory::text, ''),
        coalesce(format_type(nullif(t.typbasetype, 0), NULL), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = t.typbasetype
    LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = coalesce(nullif(t.typelem, 0), b.typelem)
    WHERE n.nspname = :schema AND c.relname = :name
    ORDER BY a.attnum
""")

_KEYS = sql("""
    SELECT (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, at)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.at <= i.indnkeyatts) AS names
    FROM pg_index i
    WHERE i.indrelid = :oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
""")

# Valid foreign keys of one column, and the readable columns of prose of the tables that they point at.
_PARENTS = sql("""
    SELECT a.attname, n.nspname, p.relname, p.oid, k.attname, b.attname
    FROM pg_constraint f
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
    JOIN pg_class p ON p.oid = f.confrelid
    JOIN pg_namespace n ON n.oid = p.relnamespace
    JOIN pg_attribute k ON k.attrelid = p.oid AND k.attnum = f.confkey[1]
    JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum > 0 AND NOT b.attisdropped
    JOIN pg_type t ON t.oid = b.atttypid
    WHERE f.conrelid = :oid AND f.contype = 'f' AND f.convalidated AND cardinality(f.conkey) = 1 AND p.relkind IN ('r', 'p')
        AND t.typcategory = 'S' AND has_schema_privilege(n.oid, 'USAGE')
        AND has_column_privilege(p.oid, b.attnum, 'SELECT') AND has_column_privilege(p.oid, k.attnum, 'SELECT')
    ORDER BY a.attnum, f.oid, b.attnum
""")

_TYPES = sql("""
    SELECT t.oid, format_type(t.oid, -1), t.typcategory, coalesce(e.typcategory::text, ''),
        coalesce(format_type(nullif(t.typbasetype, 0), NULL), '')
    FROM pg_type t LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem
    WHERE t.oid = ANY(CAST(:oids AS oid[]))
""")


def tables(connection: Connection) -> list[tuple[str, str, bool]]:
    """(schema, name, whether it is on the search path) of every table and view; partitions stand under their parent alone."""
    return [(str(schema), str(name), bool(visible)) for schema, name, visible in connection.execute(_TABLES)]


def table(connection: Connection, schema: str, name: str) -> TableInfo:
    """A table or view of the catalogue, as far as this user may read it."""
    rows = connection.execute(_COLUMNS, {"schema": schema, "name": name}).all()
    columns = tuple(ColumnInfo(*row[2:]) for row in rows)
    oid, kind = (int(rows[0][0]), str(rows[0][1])) if rows else (0, "r")
    solid = {column.name for column in columns if column.not_null and column.readable}
    keys = [tuple(names) for (names,) in connection.execute(_KEYS, {"oid": oid}) if names and solid.issuperset(names)]
    return TableInfo(oid, schema, name, columns, tuple(keys), kind=kind, parents=_parents(connection, oid, columns))


def _parents(connection: Connection, oid: int, columns: tuple[ColumnInfo, ...]) -> tuple[Parent, ...]:
    found: dict[tuple[str, str, str, int, str], list[str]] = defaultdict(list)
    for child, parent_schema, parent, parent_oid, key, prose in connection.execute(_PARENTS, {"oid": oid}):
        found[(child, parent_schema, parent, int(parent_oid), key)].append(prose)
    readable = {column.name for column in columns if column.readable}
    parents: dict[str, Parent] = {}
    for (child, parent_schema, parent, parent_oid, key), prose in found.items():
        label = label_columns(parent, prose)
        if label and child in readable and child not in parents:
            parents[child] = Parent(child, parent_oid, parent_schema, parent, key, label)
    return tuple(parents.values())


def query(connection: Connection, name: str, statement: str) -> TableInfo:
    """A query of the owner's as if it were a view. BadRequest: it is no single SELECT, or names a column twice."""
    # A bound value makes it one statement by protocol: nothing can hide behind a semicolon.
    asked = sql(f"SELECT * FROM (\n{quoted(statement)}\n) AS asked LIMIT :none").bindparams(none=0)  # noqa: S608 - the owner's own query, read-only
    try:
        cursor: Any = connection.execute(asked).cursor
        described = [(str(one[0]), int(one[1])) for one in cursor.description]
    except DBAPIError as error:
        said = " ".join(str(getattr(getattr(error.orig, "diag", None), "message_primary", None) or error.orig).split())
        raise BadRequest(f"The query can't be run: {said}.", hint="Give one SELECT without a semicolon.", param="query") from None
    names = [name for name, _ in described]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise BadRequest(f"The query names the column {twice[0]} twice.", hint="Give one of them another name with AS.", param="query")
    types = {int(row[0]): row[1:] for row in connection.execute(_TYPES, {"oids": sorted({type for _, type in described})})}
    columns = tuple(
        ColumnInfo(name, types[type][0], types[type][1], False, True, types[type][2], types[type][3]) for name, type in described
    )
    return TableInfo(0, "", name, columns, (), kind="q", query=statement)


def quoted(statement: str) -> str:
    """A statement in which SQLAlchemy finds no parameters of its own."""
    return statement.strip().removesuffix(";").replace(":", "\\:")
