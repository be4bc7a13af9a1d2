"""Real PostgreSQL servers for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from postgres_servers import READER_PASSWORD, embedded_server, system_server
from psycopg.conninfo import make_conninfo


@pytest.fixture(scope="session", params=["embedded", "system"])
def postgres_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A superuser's address of a server that is there for this session alone; beside it stands the user `reader` with a password."""
    with {"embedded": embedded_server, "system": system_server}[request.param]() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}'")
            connection.execute("SELECT pg_reload_conf()")
        yield dsn


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[str]:
    """The superuser's address of a new, empty database."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_dsn, dbname=name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
