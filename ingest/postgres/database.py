"""Reading a PostgreSQL table with SELECT and nothing else.

A run sees the table twice. First, in one REPEATABLE READ READ ONLY transaction, every key with a hash of its row that the
database itself computes: that tells what is new, changed and gone, at one moment. That transaction is over in seconds:
embedding what changed may take hours, and a snapshot held for hours would keep the owner's database from cleaning
up. Then the changed rows alone are read again by their keys, some thousands at a time, each with the hash of just that
reading; so what is recorded is always what was read, and a row that changed in between is simply taken newer.

All values are read as PostgreSQL writes them (`::text`): dates beyond Python's calendar, unknown types and domains included.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, Text, and_, bindparam, cast, column, create_engine, func, select, table
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import UserDefinedType

from app.core.errors import OndolError, UpstreamError
from ingest.documents import Document
from ingest.postgres.connecting import connect
from ingest.postgres.dsn import Dsn, denied, query_fault
from ingest.postgres.plan import ColumnInfo, Plan, TableInfo, choose_table, row_document, row_key

FETCH = 2000

# Fixed, so that a row's text (and its hash) is the same on every run, whatever the role's defaults are.
_SESSION = (
    "SET LOCAL datestyle = 'ISO'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL statement_timeout = '600s'",
    "SET LOCAL lock_timeout = '10s'",
)

_TABLES = sql("""
    SELECT n.nspname, c.relname, pg_table_is_visible(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 3 DESC, 1, 2
""")

_COLUMNS = sql("""
    SELECT c.oid, a.attname, format_type(a.atttypid, NULL), t.typcategory, a.attnotnull, has_column_privilege(c.oid, a.attnum, 'SELECT')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.nspname = :schema AND c.relname = :name
    ORDER BY a.attnum
""")

_KEYS = sql("""
    SELECT (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, at)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.at <= i.indnkeyatts) AS names
    FROM pg_index i
    WHERE i.indrelid = :oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
""")


class _Named(UserDefinedType[Any]):
    """A type by its PostgreSQL name, for casts to whatever the key's columns are."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


class Database:
    """A database read-only. Blocking. Every error is an `OndolError` that says what to do; none holds the password."""

    def __init__(self, dsn: Dsn) -> None:
        self.dsn = dsn
        # Connections are made here and not by URL, so that no URL with a password exists. The pool asks first whether its
        # connection still lives: between two readings lies the embedding of thousands of rows.
        self._engine = create_engine("postgresql+psycopg://", creator=self._connect, pool_size=1, max_overflow=0, pool_pre_ping=True)

    def _connect(self) -> psycopg.Connection[Any]:
        return connect(self.dsn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._engine.dispose()

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[Connection]:
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                for statement in _SESSION:
                    connection.execute(sql(statement))
                yield connection
        except OndolError:
            raise
        except DBAPIError as error:
            cause = error.orig
            raise (
                query_fault(cause, self.dsn, what)
                if isinstance(cause, psycopg.Error)
                else UpstreamError(f"{what} could not be read: {cause}")
            ) from None
        except psycopg.Error as error:
            raise query_fault(error, self.dsn, what) from None

    def describe(self, wanted: str) -> TableInfo:
        """The table or view of this name. NotFound names the nearest."""
        with self._reading("the catalogue") as connection:
            tables = [(str(schema), str(name), bool(visible)) for schema, name, visible in connection.execute(_TABLES)]
            schema, name = choose_table(wanted, tables)
            rows = connection.execute(_COLUMNS, {"schema": schema, "name": name}).all()
            columns = tuple(ColumnInfo(*row[1:]) for row in rows)
            oid = int(rows[0][0]) if rows else 0
            solid = {column.name for column in columns if column.not_null and column.readable}
            keys = [tuple(names) for (names,) in connection.execute(_KEYS, {"oid": oid}) if names and solid.issuperset(names)]
        if columns and not any(column.readable for column in columns):
            raise denied(self.dsn, f"{schema}.{name}")
        return TableInfo(oid, schema, name, columns, tuple(keys))

    def scan(self, plan: Plan) -> Iterator[tuple[tuple[str, ...], str]]:
        """Every row's key and hash, from one snapshot. A view may show None in a key."""
        source, columns = _parts(plan)
        query = select(*(cast(columns[name], Text) for name in plan.key), _row_hash(plan, columns)).select_from(source)
        with self._reading(plan.table.full_name) as connection:
            for row in connection.execution_options(yield_per=10_000).execute(query):
                yield row[:-1], row[-1]

    def documents(self, plan: Plan, keys: Sequence[tuple[str, ...]]) -> Iterator[Document | None]:
        """The documents of the rows with these keys, in no order; None for a row that says nothing. Rows that have gone are left out."""
        source, columns = _parts(plan)
        types = {column.name: column.type for column in plan.table.columns}
        given = [cast(bindparam(f"key{at}"), _Named(f"{types[name]}[]")) for at, name in enumerate(plan.key)]
        wanted = func.unnest(*given).table_valued(*(f"k{at}" for at in range(len(given))), name="wanted").render_derived()
        same = and_(*(columns[name] == wanted.c[f"k{at}"] for at, name in enumerate(plan.key)))
        shown = [_shown(columns[info.name], info) for info in plan.table.columns if info.name in columns]
        names = [info.name for info in plan.table.columns if info.name in columns]
        key_texts = [cast(columns[name], Text) for name in plan.key]
        prefix = self.id_prefix(plan)
        query = select(_row_hash(plan, columns), *key_texts, *shown).select_from(source.join(wanted, same))
        for at in range(0, len(keys), FETCH):
            some = keys[at : at + FETCH]
            with self._reading(plan.table.full_name) as connection:
                rows = connection.execute(query, {f"key{part}": [key[part] for key in some] for part in range(len(plan.key))}).all()
            for hash, *rest in rows:
                key, values = rest[: len(plan.key)], rest[len(plan.key) :]
                yield row_document(prefix + row_key(key), hash, dict(zip(names, values, strict=True)), plan)

    def id_prefix(self, plan: Plan) -> str:
        """`connection/schema.table/`: ids of its rows are this and `row_key`."""
        return f"{self.dsn.connection}/{plan.table.full_name}/"


def _parts(plan: Plan) -> tuple[Any, dict[str, ColumnElement[Any]]]:
    source = table(plan.table.name, *(column(name) for name in plan.columns), schema=plan.table.schema)
    return source, {name: source.c[name] for name in plan.columns}


def _row_hash(plan: Plan, columns: dict[str, ColumnElement[Any]]) -> ColumnElement[str]:
    return func.md5(cast(func.row(*(columns[name] for name in plan.columns)), Text))


def _shown(value: ColumnElement[Any], info: ColumnInfo) -> ColumnElement[Any]:
    return func.array_to_string(value, ", ") if info.category == "A" else cast(value, Text)
