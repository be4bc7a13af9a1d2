"""Reading PostgreSQL with SELECT and nothing else.

A run sees a table twice. First, in one REPEATABLE READ READ ONLY transaction (`snapshot`), every key, with a hash of the rows that can
have changed, computed by the database itself: that tells what is new, changed and gone, at one moment. That transaction is over in
seconds: embedding what changed may take hours, and a snapshot held for hours would keep the owner's database from cleaning
up. Then the changed rows alone are read again by their keys (`documents`), some thousands at a time, each with the hash of just that
reading; so what is recorded is always what was read, and a row that changed in between is simply taken newer.

All values are read as PostgreSQL writes them (`::text`): dates beyond Python's calendar, unknown types and domains included.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from app.core.errors import Deadline, OndolError, UpstreamError
from ingest.documents import Document
from ingest.postgres import catalogue
from ingest.postgres.connecting import CONNECT_SECONDS, connect
from ingest.postgres.dsn import Dsn, denied, not_in, query_fault
from ingest.postgres.ground import ground
from ingest.postgres.plan import Plan, TableInfo
from ingest.postgres.row import row_document, row_key
from ingest.postgres.selection import Named, choose_table
from ingest.postgres.snapshot import Snapshot
from ingest.postgres.statements import Statements

FETCH = 2000
_REWRITES = 5

# Fixed, so that a row's text (and its hash) is the same on every run, whatever the role's defaults are.
_SESSION = (
    "SET LOCAL datestyle = 'ISO'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
)


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a connection (2 or more), for one statement, and for somebody else's lock."""

    connect: int = CONNECT_SECONDS
    statement: float = 600
    lock: float = 10


FOR_RUNS = Patience()


class Database:
    """A database read-only. Blocking. Every error is an `OndolError` that says what to do; none holds the password."""

    def __init__(self, dsn: Dsn, patience: Patience = FOR_RUNS) -> None:
        self.dsn, self._patience = dsn, patience
        limits = (f"SET LOCAL statement_timeout = {patience.statement * 1000:.0f}", f"SET LOCAL lock_timeout = {patience.lock * 1000:.0f}")
        # In one message: over a slow line each answer is waited for.
        self._session = "; ".join((*_SESSION, *limits))
        # Connections are made here and not by URL, so that no URL with a password exists. The pool asks first whether its
        # connection still lives: between two readings lies the embedding of thousands of rows.
        self._engine = create_engine("postgresql+psycopg://", creator=self._connect, pool_size=1, max_overflow=0, pool_pre_ping=True)

    def _connect(self) -> psycopg.Connection[Any]:
        return connect(self.dsn, seconds=self._patience.connect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[Connection]:
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                connection.exec_driver_sql(self._session)
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
        except UnicodeDecodeError as error:
            raise not_in(error.encoding, what) from None

    def tables(self) -> list[Named]:
        """(schema, name, whether it is on the search path) of every table and view."""
        with self._reading("the catalogue") as connection:
            return catalogue.tables(connection)

    def describe(self, wanted: str) -> TableInfo:
        """The table or view of this name. NotFound names the nearest."""
        return self.table(*choose_table(wanted, self.tables()))

    def table(self, schema: str, name: str) -> TableInfo:
        """The table of exactly this name."""
        with self._reading("the catalogue") as connection:
            found = catalogue.table(connection, schema, name)
        if found.columns and not any(column.readable for column in found.columns):
            raise denied(self.dsn, found.full_name)
        return found

    def query(self, name: str, statement: str) -> TableInfo:
        """A SELECT of the owner's, as if it were a view. BadRequest: it can't be run."""
        with self._reading(f"the query {name}") as connection:
            return catalogue.query(connection, name, statement)

    @contextlib.contextmanager
    def snapshot(self, plan: Plan, rule: str) -> Iterator[Snapshot]:
        """One moment of the table. `rule`: how documents are made of its rows. Deadline: it was rewritten again and again."""
        for _ in range(_REWRITES):
            with self._reading(plan.table.full_name) as connection:
                if plan.table.kind in "rp":
                    connection.execute(Statements(plan).touch())
                found = ground(connection, plan, rule)
                if not found.moved:
                    yield Snapshot(connection, plan, found)
                    return
        raise Deadline(f"{plan.table.full_name} was replaced while it was read.", hint="Try again in a moment.")

    def count(self, plan: Plan) -> int:
        """How many rows there are."""
        with self._reading(plan.table.full_name) as connection:
            return int(connection.execute(Statements(plan).count()).scalar_one())

    def example(self, plan: Plan) -> Document | None:
        """What any one row that says something becomes."""
        with self._reading(plan.table.full_name) as connection:
            row = connection.execute(Statements(plan).example()).first()
        return None if row is None else self._document(plan, tuple(row))

    def documents(self, plan: Plan, keys: Sequence[tuple[str, ...]]) -> Iterator[Document | None]:
        """The documents of the rows with these keys, in no order; None for a row that says nothing. Rows that have gone are left out."""
        query = Statements(plan).rows()
        for at in range(0, len(keys), FETCH):
            some = keys[at : at + FETCH]
            with self._reading(plan.table.full_name) as connection:
                rows = connection.execute(query, {f"key{part}": [key[part] for key in some] for part in range(len(plan.key))}).all()
            for row in rows:
                yield self._document(plan, tuple(row))

    def _document(self, plan: Plan, row: tuple[Any, ...]) -> Document | None:
        """`row`: hash, key, labels, values, as `Statements` reads them."""
        keys, labels = 1 + len(plan.key), 1 + len(plan.key) + len(plan.parents)
        values = dict(zip(plan.columns, row[labels:], strict=True))
        return row_document(self.id_prefix(plan) + row_key(row[1:keys]), row[0], values, plan, row[keys:labels])

    def id_prefix(self, plan: Plan) -> str:
        """`connection/schema.table/`: ids of its rows are this and `row_key`."""
        return f"{self.dsn.connection}/{plan.table.full_name}/"
