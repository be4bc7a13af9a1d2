from __future__ import annotations

import threading

import psycopg
import pytest
from postgres_tables import run
from psycopg.conninfo import conninfo_to_dict

from app.core.errors import BadRequest
from ingest.report import Notice, Started
from ingest.run import Options


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
