"""Databases of other people: names that need quotes, keys that name nothing, text in an encoding that nobody wrote down."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from postgres_servers import READER_PASSWORD
from postgres_tables import run
from psycopg.conninfo import make_conninfo

from app.core.errors import BadRequest, OndolError, UpstreamError
from ingest.postgres.dsn import connect_fault, parse_dsn
from ingest.report import Notice


@pytest.fixture
def unsaid(database: str) -> Iterator[str]:
    """A database that does not know how its text is written: some of it is what Korean Windows writes."""
    name = f"unsaid_{uuid.uuid4().hex[:12]}"
    run(database, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    dsn = make_conninfo(database, dbname=name)
    run(dsn, b"CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'plain'), (2, E'\\xc7\\xd1\\xb1\\xdb')")
    yield dsn
    run(database, f"DROP DATABASE {name} WITH (FORCE)")


def test_text_in_an_encoding_that_the_database_does_not_know_is_read_once_its_owner_says_it(world, unsaid):
    with pytest.raises(UpstreamError, match=r"not UTF8.*\?client_encoding=UHC"):
        world.table(unsaid, "notes")
    assert world.table(make_conninfo(unsaid, client_encoding="UHC"), "notes").ok
    assert any("한글" in text for (text,) in world.sql("SELECT text FROM chunks"))
    assert world.sync().unchanged == 2


def test_a_schema_brings_its_tables_though_the_keys_of_some_are_bytes_or_arrays(world, database):
    run(
        database,
        "CREATE TABLE plain (id int PRIMARY KEY, body text); INSERT INTO plain VALUES (1, 'plain');"
        "CREATE TABLE hashed (id bytea PRIMARY KEY, body text); INSERT INTO hashed VALUES ('\\x01', 'hashed');"
        "CREATE TABLE listed (id int[] PRIMARY KEY, number int NOT NULL UNIQUE, body text); INSERT INTO listed VALUES ('{1}', 7, 'listed')",
    )
    reports = world.tables(database, schemas=("public",))
    assert {report.source.rpartition(".")[2]: report.added for report in reports} == {"plain": 1, "listed": 1}
    assert any("hashed is left out" in event.text for event in world.events if isinstance(event, Notice))
    with pytest.raises(BadRequest, match="encode"):
        world.table(database, "hashed")
    query = "SELECT encode(id, 'hex') AS key, body FROM hashed"
    (report,) = world.tables(database, query=query, name="hashed", key="key")
    assert report.added == 1


def test_the_grant_that_is_named_is_one_that_the_owner_can_run(world, database):
    run(database, 'CREATE SCHEMA "판매"; CREATE TABLE "판매"."Our ""Notes" (id int PRIMARY KEY, body text)')
    reader = make_conninfo(database, user="reader", password=READER_PASSWORD)
    with pytest.raises(OndolError) as caught:
        world.table(reader, '판매.Our "Notes')
    _, _, grants = str(caught.value).partition("allows it with: ")
    run(database, grants)
    assert world.table(reader, '판매.Our "Notes').ok


def test_a_name_with_spaces_may_stand_in_an_address_as_it_is_typed():
    assert parse_dsn(" postgresql://owner@localhost/가게 DB ").parameters["dbname"] == "가게 DB"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("connection failed: fe_sendauth: no password supplied", "asks me for a password, and there is none"),
        ("received invalid response to SSL negotiation: H", "no PostgreSQL"),
        ("expected authentication request from server, but received H", "no PostgreSQL"),
        ('치명적오류:  "me" 롤(role) 없음', "no user me"),
        ("server does not support SSL, but SSL was required", r"SSL was required\. Set sslmode"),
    ],
)
def test_what_libpq_says_is_told_with_what_to_do(said, told):
    with pytest.raises(UpstreamError, match=told):
        raise connect_fault(psycopg.OperationalError(said), parse_dsn("postgresql://me@db.example/shop"))


def test_of_a_table_that_has_gone_all_stays_and_what_to_do_is_said(world, database):
    run(database, "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'kept')")
    world.table(database, "notes")
    run(database, "ALTER TABLE notes RENAME TO remarks")
    report = world.sync()
    assert "no table public.notes" in report.error
    assert "`ondol ingest forget`" in report.error
    assert len(world.documents()) == 1
