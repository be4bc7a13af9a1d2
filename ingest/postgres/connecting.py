"""A connection to a database that its owner has named: the one place where libpq is asked for one."""

from __future__ import annotations

from typing import Any

import psycopg

from app.core import egress
from ingest.postgres.dsn import Dsn, connect_fault

CONNECT_SECONDS = 10


def connect(dsn: Dsn, *, seconds: int = CONNECT_SECONDS, autocommit: bool = False) -> psycopg.Connection[Any]:
    """Blocking, `seconds` (2 or more) at most for each address. What goes wrong is an `OndolError` without the password."""
    # Another encoding is for databases that don't know their own (SQL_ASCII): what they send is then read in it.
    given = {"connect_timeout": str(seconds), "application_name": "ondol", "client_encoding": "UTF8", **dsn.parameters}
    if dsn.password:
        given["password"] = dsn.password
    try:
        with egress.data_source(*dsn.hosts):
            # No prepared statements: a pooler between (pgbouncer) may give each transaction another connection.
            return psycopg.connect(prepare_threshold=None, autocommit=autocommit, **given)  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise connect_fault(error, dsn) from None
