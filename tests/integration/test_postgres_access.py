"""How a database is reached: by which addresses, with which rights, and what is said where there is no way in."""

from __future__ import annotations

import os
import stat

import pytest
from postgres_servers import READER_PASSWORD
from postgres_tables import as_reader, run
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.core.errors import BadRequest, NotFound, OndolError, UpstreamError
from ingest.report import Notice


def test_select_is_all_it_needs_and_columns_that_may_not_be_read_are_left_out(world, shop):
    run(shop, "GRANT SELECT (id, subject, opened) ON tickets TO reader")
    assert world.table(as_reader(shop), "tickets").added == 3
    assert any(isinstance(event, Notice) and "body" in event.text and "may not be read" in event.text for event in world.events)


def test_the_password_stands_in_the_secrets_alone(world, shop, capfd):
    run(shop, "GRANT SELECT ON tickets, coded TO reader")
    world.table(as_reader(shop), "tickets")
    world.table(as_reader(shop), "coded", store="codes")
    assert world.sync("shop").unchanged == 3
    secrets = world.home.secrets
    for file in world.home.root.rglob("*"):
        if file.is_file() and file != secrets:
            assert READER_PASSWORD.encode() not in file.read_bytes(), file
    assert READER_PASSWORD in secrets.read_text(encoding="utf-8")
    if os.name != "nt":
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    world.forget("shop")
    assert READER_PASSWORD in secrets.read_text(encoding="utf-8")
    world.forget("codes")
    assert READER_PASSWORD not in secrets.read_text(encoding="utf-8")


def test_a_wrong_password_is_said_without_being_repeated(world, shop):
    with pytest.raises(UpstreamError, match="does not accept the password of reader") as caught:
        world.table(as_reader(shop, "wr0ng-secret"), "tickets")
    assert "wr0ng-secret" not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert not world.home.secrets.exists()
    assert not world.home.book.exists()


def test_missing_permission_names_the_grant(world, shop):
    with pytest.raises(OndolError, match="GRANT SELECT"):
        world.table(as_reader(shop), "tickets")
    run(shop, "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY, a text); GRANT SELECT ON hidden.t TO reader")
    with pytest.raises(OndolError, match="GRANT USAGE ON SCHEMA hidden"):
        world.table(as_reader(shop), "hidden.t")


def test_missing_things_name_the_nearest(world, shop):
    with pytest.raises(NotFound, match="Did you mean tickets"):
        world.table(shop, "ticket")
    with pytest.raises(NotFound, match="Did you mean subject"):
        world.table(shop, "tickets", text=["subjet"])
    with pytest.raises(NotFound, match="Did you mean opened"):
        world.table(shop, "tickets", title="{openend}")
    with pytest.raises(BadRequest, match="braces"):
        world.table(shop, "tickets", title="{subject")
    with pytest.raises(BadRequest, match="holds bytes"):
        world.table(shop, "tickets", text=["photo"])
    with pytest.raises(UpstreamError, match="no such database"):
        world.table(make_conninfo(shop, dbname="nowhere"), "tickets")


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:p4ssw0rd@no-such-host.invalid/db", "host of no-such-host.invalid:5432/db is not known"),
        ("host=127.0.0.1 port=1 dbname=db user=u password=p4ssw0rd", "Nothing answers at 127.0.0.1:1/db"),
        ("postgresql://u:p4ss/w0rd@host/db", "%2F"),
        ("postgresql://u:p4ss@w0rd@host/db", "%40"),
        ("mysql://u:p4ssw0rd@host/db", "not a PostgreSQL address"),
        ("postgresql://u:p4ssw0rd@host/db?nonsense=1", "can't be understood"),
        ("nothing", "not a PostgreSQL address"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_to_do_and_keeps_its_secret(world, dsn, said):
    with pytest.raises(OndolError) as caught:
        world.table(dsn, "t")
    assert said in str(caught.value)
    assert "p4ss" not in str(caught.value)
    assert "w0rd" not in str(caught.value)


def test_every_form_of_the_address_is_the_same_database(world, shop):
    parts = conninfo_to_dict(shop)
    host, port, name = parts["host"], parts.get("port", "5432"), parts["dbname"]
    from urllib.parse import quote

    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        world.table(f"{scheme}://postgres@{quote(host, safe='')}:{port}/{name}", "coded")
    world.table(f"host='{host}' port={port} dbname={name} user=postgres", "coded")
    assert world.sql("SELECT count(*) FROM sources") == [(1,)]
    assert len(world.documents()) == 1


def test_a_database_that_is_away_fails_its_source_and_the_next_one_goes_on(world, shop, tmp_path):
    (tmp_path / "note.txt").write_text("a note")
    world.table(shop, "tickets", store="both")
    world.files(tmp_path / "note.txt", store="both")
    run(make_conninfo(shop, dbname="postgres"), f"ALTER DATABASE {conninfo_to_dict(shop)['dbname']} RENAME TO away_{os.getpid()}")
    try:
        from ingest.sync import sync
        from models.hash_embedder import WordCounter

        first, second = sync(world.home, None, world.embedder, WordCounter())
    finally:
        run(make_conninfo(shop, dbname="postgres"), f"ALTER DATABASE away_{os.getpid()} RENAME TO {conninfo_to_dict(shop)['dbname']}")
    assert "no such database" in first.error
    assert second.unchanged == 1
    assert len(world.documents()) == 4
