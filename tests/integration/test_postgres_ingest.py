from __future__ import annotations

import os
import stat
import threading

import psycopg
import pytest
from postgres_servers import READER_PASSWORD
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.core.errors import BadRequest, NotFound, OndolError, UpstreamError
from ingest.report import Notice, Started
from ingest.run import Options

SHOP = """
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE TABLE tickets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text NOT NULL, body text, opened timestamptz,
                      hours numeric(6,2), urgent boolean, mood mood, photo bytea, tags text[], extra jsonb);
INSERT INTO tickets (subject, body, opened, hours, urgent, mood, photo, tags, extra) VALUES
 ('바닥이 차갑다', '어제부터 온돌이 데워지지 않습니다.', '2026-03-01 09:00+00', 1.50, true, 'angry', '\\x00', '{a,b}', '{"n": 1}'),
 ('Noise', 'The pump hums at night.', NULL, NULL, false, NULL, NULL, NULL, NULL),
 ('Thanks', NULL, 'infinity', 'NaN', NULL, 'calm', NULL, NULL, NULL);
CREATE TABLE "Odd ""Names" ("a:b%" text, "key/one" text, two int, PRIMARY KEY ("key/one", two));
INSERT INTO "Odd ""Names" VALUES ('first', 'x,y/z', 1), ('second', 'x', 2);
CREATE TABLE heap (words text, n int);
INSERT INTO heap VALUES ('one', 1), ('two', 2);
CREATE VIEW calm AS SELECT id, subject, body FROM tickets WHERE mood = 'calm';
CREATE DOMAIN code AS text CHECK (value <> '');
CREATE TABLE coded (c code PRIMARY KEY, kind mood, price money, id uuid);
INSERT INTO coded VALUES ('K-1', 'calm', 12.5, '11111111-1111-1111-1111-111111111111');
"""


@pytest.fixture
def shop(database: str) -> str:
    run(database, SHOP)
    return database


def run(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements)


def as_reader(dsn: str, password: str = READER_PASSWORD) -> str:
    return make_conninfo(dsn, user="reader", password=password)


def test_a_table_becomes_documents_with_its_facts_in_the_text_and_as_attributes(world, shop):
    report = world.table(shop, "tickets", text=["body"], title="{subject} #{id}")
    assert (report.added, report.failed) == (3, ())
    where = conninfo_to_dict(shop)
    prefix = f"{where['host']}:{where.get('port', 5432)}/{where['dbname']}/public.tickets/"
    assert world.documents() == {f"{prefix}1", f"{prefix}2", f"{prefix}3"}
    ((title, attributes),) = world.sql("SELECT title, attributes FROM documents WHERE id = ?", f"{prefix}1")
    assert title == "바닥이 차갑다 #1"
    ((text,),) = world.sql("SELECT text FROM chunks WHERE id = ?", f"{prefix}1#0")
    assert text.startswith("어제부터 온돌이 데워지지 않습니다.\n\nid: 1\nopened: 2026-03-01 ")
    assert text.endswith('hours: 1.50\nurgent: true\nmood: angry\ntags: a, b\nextra: {"n": 1}')
    import json

    values = json.loads(attributes)
    assert (values["hours"], values["urgent"], values["id"], values["subject"]) == (1.5, True, 1, "바닥이 차갑다")
    assert "photo" not in values
    assert any(isinstance(event, Notice) and "photo" in event.text for event in world.events)
    ((text,),) = world.sql("SELECT text FROM chunks WHERE id = ?", f"{prefix}3#0")
    assert text == "id: 3\nopened: infinity\nhours: NaN\nmood: calm"
    world.check()


def test_without_names_all_prose_is_taken_with_its_columns_names(world, shop):
    world.table(shop, "tickets")
    assert world.sql("SELECT title, text FROM documents d JOIN chunks c ON c.document_pk = d.pk WHERE title = 'Noise'") == [
        ("Noise", "subject: Noise\nbody: The pump hums at night.\nid: 2\nurgent: false")
    ]


def test_changes_and_deletions_follow_and_nothing_else_is_embedded(world, shop):
    world.table(shop, "tickets")
    world.embedder.texts.clear()
    assert world.sync().unchanged == 3
    assert world.embedder.texts == []
    run(
        shop,
        "UPDATE tickets SET body = 'Fixed.' WHERE id = 2; DELETE FROM tickets WHERE id = 3;"
        "INSERT INTO tickets (subject) VALUES ('New'); UPDATE tickets SET photo = '\\x01' WHERE id = 1",
    )
    report = world.sync()
    assert (report.added, report.changed, report.unchanged, report.deleted) == (1, 1, 1, 1)
    assert len(world.embedder.texts) == 2
    world.check()


def test_a_late_commit_and_a_row_under_a_savepoint_are_caught(world, shop):
    world.table(shop, "tickets")
    with psycopg.connect(shop) as late, psycopg.connect(shop) as nested:
        late.execute("UPDATE tickets SET body = 'late' WHERE id = 1")
        nested.execute("SAVEPOINT a")
        nested.execute("UPDATE tickets SET body = 'nested' WHERE id = 2")
        nested.execute("RELEASE a")
        assert world.sync().unchanged == 3
        late.commit()
        nested.commit()
    assert world.sync().changed == 2


def test_odd_names_and_composite_keys_are_read(world, shop):
    report = world.table(shop, 'Odd "Names')
    assert report.added == 2
    assert sorted(id.rsplit("/", 1)[1] for id in world.documents()) == ["x%2Cy%2Fz,1", "x,2"]
    assert world.sync().unchanged == 2


def test_keys_of_domains_and_columns_of_enums_money_and_uuid_are_read(world, shop):
    assert world.table(shop, "coded").added == 1
    ((text, attributes),) = world.sql("SELECT text, attributes FROM chunks c JOIN documents d ON d.pk = c.document_pk")
    assert text == "c: K-1\nkind: calm\nprice: $12.50"
    assert "11111111" in attributes


def test_a_table_without_a_key_asks_for_one_and_takes_it(world, shop):
    with pytest.raises(BadRequest, match="--key"):
        world.table(shop, "heap")
    assert world.table(shop, "heap", key=["n"]).added == 2
    run(shop, "INSERT INTO heap VALUES ('again', 1), ('no key', NULL)")
    report = world.sync()
    assert "does not tell the rows of public.heap apart: 1 occurs twice" in report.error
    run(shop, "DELETE FROM heap WHERE words = 'again'")
    report = world.sync()
    assert (report.unchanged, len(report.failed)) == (2, 1)
    assert "no value in its key" in report.failed[0].reason


def test_a_view_with_a_key_is_a_source(world, shop):
    assert world.table(shop, "calm", key=["id"]).added == 1
    run(shop, "UPDATE tickets SET mood = 'calm'")
    assert world.sync().added == 2


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


def test_an_emptied_table_does_not_empty_the_store_by_accident(world, shop):
    run(shop, "INSERT INTO tickets (subject) SELECT 's' || n FROM generate_series(1, 60) n")
    world.table(shop, "tickets")
    run(shop, "DELETE FROM tickets WHERE id > 3")
    report = world.sync()
    assert "60 of 63 documents have vanished" in report.error
    assert len(world.documents()) == 63
    assert world.sync(allow_delete=True).deleted == 60
    world.check()


def test_rows_that_say_nothing_are_left_out_and_counted(world, shop):
    run(shop, "CREATE TABLE sparse (id int PRIMARY KEY, body text); INSERT INTO sparse VALUES (1, 'words'), (2, NULL), (3, '  ')")
    assert world.table(shop, "sparse").added == 1
    assert any(isinstance(event, Notice) and "2 rows say nothing" in event.text for event in world.events)
    run(shop, "UPDATE sparse SET body = NULL")
    assert world.sync().deleted == 1


def test_no_transaction_stays_open_while_rows_are_embedded(world, shop):
    seen: list[int] = []

    def look() -> None:
        with psycopg.connect(shop) as connection:
            name = conninfo_to_dict(shop)["dbname"]
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'ondol' AND xact_start IS NOT NULL"
            seen.extend(row[0] for row in connection.execute(query, [name]))

    class Looks(type(world.embedder)):  # type: ignore[misc]
        def passages(self, texts):
            look()
            return super().passages(texts)

    world.embedder = Looks()
    world.table(shop, "tickets", options=Options(batch_chunks=1))
    assert seen == [0, 0, 0]


def test_rows_written_while_it_reads_are_complete_in_the_next_run(world, shop):
    run(shop, "INSERT INTO tickets (subject) SELECT 's' || n FROM generate_series(1, 3000) n")
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(shop, autocommit=True) as connection:
            number = 0
            while not stop.wait(0.001):
                number += 1
                connection.execute("UPDATE tickets SET body = %s WHERE id = 1 + %s %% 3000", [f"v{number}", number * 7])
                connection.execute("INSERT INTO tickets (subject) VALUES (%s)", [f"n{number}"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        world.table(shop, "tickets")
        world.sync()
    finally:
        stop.set()
        writer.join()
    world.sync()
    with psycopg.connect(shop) as connection:
        rows = {str(id): body for id, body in connection.execute("SELECT id, coalesce(body, '') FROM tickets")}
    ids = "substr(d.id, length(rtrim(d.id, '0123456789')) + 1)"
    held = dict(world.sql(f"SELECT {ids}, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk"))
    assert held.keys() == rows.keys()
    assert all(f"body: {body}\n" in held[id] for id, body in rows.items() if body)
    world.check()


def test_the_total_of_rows_is_known_before_they_are_embedded(world, shop):
    world.table(shop, "tickets")
    assert [event.total for event in world.events if isinstance(event, Started)] == [3]
