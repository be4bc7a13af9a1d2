"""What can be asked of PostgreSQL: many tables, patterns, queries, and what comes with a row."""

from __future__ import annotations

import json
import unicodedata

import psycopg
import pytest
from ingest_world import World
from postgres_tables import run
from two_models import NEW, both, make

from app.core.errors import BadRequest, NotFound
from app.core.paths import Home
from app.core.records import Principal
from ingest.generations import statuses
from ingest.postgres.asked import Asked
from ingest.postgres.row import OWNER_ONLY
from ingest.report import Notice
from ingest.search.visible import restriction
from ingest.sync import ingest_postgres, preview_postgres
from models.hash_embedder import WordCounter

SALES = """
CREATE SCHEMA sales;
CREATE TABLE sales.customer (customer_id int PRIMARY KEY, name text, city text, password text);
INSERT INTO sales.customer VALUES (1, '김민수', 'Seoul', 'x'), (2, 'Lee', NULL, 'y');
CREATE TABLE sales.orders (id uuid PRIMARY KEY, customer_id int REFERENCES sales.customer, note text, total numeric(10,2), team text,
                           status text, secret_token text);
INSERT INTO sales.orders VALUES
 ('11111111-1111-1111-1111-111111111111', 1, '온돌 매트 두 장', 120000.50, 'east, west', 'open', 't'),
 ('22222222-2222-2222-2222-222222222222', 2, 'one heater', 80, NULL, 'closed', 't'),
 ('33333333-3333-3333-3333-333333333333', NULL, 'nobody''s', NULL, 'east', 'open', 't');
CREATE TABLE sales.heap (a text);
CREATE VIEW sales.open_orders AS SELECT id, note FROM sales.orders WHERE status = 'open';
CREATE TABLE odd (id int PRIMARY KEY, words text[], numbers int[], days date[], grid int[][], data jsonb, span int4range,
                  b bytea[], pt point);
INSERT INTO odd VALUES (1, ARRAY['a, b', NULL, '한글'], '{1,2}', '{2026-01-31}', '{{1,2},{3,4}}', '{"k": ["v"]}', '[1,5)', NULL, '(1,2)');
"""


@pytest.fixture
def sales(database: str) -> str:
    run(database, SALES)
    return database


def row(world: World, end: str) -> dict:
    ((title, url, attributes, access, text),) = world.sql(
        "SELECT d.title, d.url, d.attributes, d.access, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk WHERE d.id LIKE ?",
        f"%{end}",
    )
    return {"title": title, "url": url, "attributes": json.loads(attributes), "access": json.loads(access), "text": text}


def test_a_schema_brings_all_its_tables_that_have_a_key_and_says_which_are_left_out(world, sales):
    reports = world.tables(sales, schemas=("sales",))
    assert sorted(report.source.rsplit("/", 1)[1] for report in reports) == ["sales.customer", "sales.orders"]
    left = [event.text for event in world.events if isinstance(event, Notice) and "is left out" in event.text and "sales." in event.text]
    assert any("sales.heap" in text and "no primary key" in text for text in left)
    assert any("sales.open_orders" in text for text in left)
    assert len(world.documents()) == 5


def test_a_pattern_and_names_bring_tables_each_with_its_own_wishes(world, sales):
    reports = world.tables(
        sales,
        tables=("sales.o*", "odd"),
        key=("sales.open_orders=id",),
        text=("sales.orders=note", "open_orders=note"),
        title=("orders=Order {note}", "Row {id}"),
    )
    assert {report.source.rsplit("/", 1)[1]: report.added for report in reports} == {
        "sales.orders": 3,
        "sales.open_orders": 2,
        "public.odd": 1,
    }
    assert row(world, "sales.orders/22222222-2222-2222-2222-222222222222")["title"] == "Order one heater"
    assert row(world, "public.odd/1")["title"] == "Row 1"


def test_what_no_table_is_called_is_said(world, sales):
    with pytest.raises(NotFound, match="like sales"):
        world.tables(sales, tables=("sales.x*",))
    with pytest.raises(NotFound, match="public, sales"):
        world.tables(sales, schemas=("nowhere",))
    with pytest.raises(BadRequest, match="not among the tables"):
        world.tables(sales, tables=("sales.*",), text=("customers=name",))
    with pytest.raises(BadRequest, match="No table is named"):
        world.tables(sales)
    assert not world.home.book.exists()


def test_a_parents_name_comes_into_the_text_and_its_change_changes_the_child(world, sales):
    world.tables(sales, tables=("sales.orders",), text=("note",))
    found = row(world, "11111111-1111-1111-1111-111111111111")
    assert found["text"].endswith("customer: 김민수, Seoul")
    assert found["attributes"]["customer"] == "김민수, Seoul"
    assert "customer" not in row(world, "33333333-3333-3333-3333-333333333333")["attributes"]
    run(sales, "UPDATE sales.customer SET city = 'Busan' WHERE customer_id = 1")
    world.embedder.texts.clear()
    report = world.sync()
    assert (report.changed, report.unchanged, len(world.embedder.texts)) == (1, 2, 1)
    assert row(world, "11111111-1111-1111-1111-111111111111")["attributes"]["customer"] == "김민수, Busan"
    world.tables(sales, tables=("sales.orders",), text=("note",), parents=False)
    assert "customer:" not in row(world, "11111111-1111-1111-1111-111111111111")["text"]


def test_a_parent_that_is_deleted_past_its_foreign_key_takes_its_name_along(world, sales):
    world.tables(sales, tables=("sales.orders",), text=("note",))
    run(sales, "SET session_replication_role = replica; DELETE FROM sales.customer WHERE customer_id = 2")
    assert world.sync().changed == 1
    assert "customer" not in row(world, "22222222-2222-2222-2222-222222222222")["attributes"]


def test_metadata_is_kept_and_not_said_and_an_address_is_filled_in(world, sales):
    world.tables(sales, tables=("sales.orders",), metadata=("status,total",), url=("https://crm.example/o?n={note}&id={id}",))
    found = row(world, "11111111-1111-1111-1111-111111111111")
    assert "status" not in found["text"]
    assert "total" not in found["text"]
    assert (found["attributes"]["status"], found["attributes"]["total"]) == ("open", 120000.5)
    assert found["url"].startswith("https://crm.example/o?n=%EC%98%A8%EB%8F%8C%20%EB%A7%A4")
    assert found["url"].endswith("&id=11111111-1111-1111-1111-111111111111")
    assert "secret_token" not in found["attributes"]


def test_an_access_column_says_who_may_see_a_row_and_an_empty_one_leaves_it_to_the_owner(world, sales):
    world.tables(sales, tables=("sales.orders",), access=("team",))

    def seen(*groups: str) -> set[str]:
        condition = restriction({}, Principal(groups=groups, owner=False))
        return {id[-1] for (id,) in world.sql(f"SELECT id FROM documents WHERE {condition.sql}", *condition.values)}

    assert seen("east") == {"1", "3"}
    assert seen("west") == {"1"}
    assert seen() == seen("north") == set()
    assert row(world, "22222222-2222-2222-2222-222222222222")["access"] == [OWNER_ONLY]
    run(sales, "UPDATE sales.orders SET team = 'north' WHERE team = 'east'")
    assert world.sync().changed == 1
    assert seen("east") == {"1"}


def test_a_query_is_a_source_with_its_name_and_key(world, sales):
    statement = """SELECT o.id, o.note, c.name AS "who: is", '100%' AS share, now()::date > '2000-01-01' AS late -- a comment
        FROM sales.orders o LEFT JOIN sales.customer c USING (customer_id) WHERE note ~ ':?' ;"""
    (report,) = world.tables(sales, query=statement, name="주문", key=("id",), text=("note",))
    assert report.added == 3
    assert all("/query:주문/" in id for id in world.documents())
    found = row(world, "11111111-1111-1111-1111-111111111111")
    assert found["attributes"]["late"] is True
    assert found["attributes"]["who: is"] == "김민수"
    run(sales, "UPDATE sales.customer SET name = '박' WHERE customer_id = 1; DELETE FROM sales.orders WHERE customer_id = 2")
    report = world.sync()
    assert (report.changed, report.deleted, report.unchanged) == (1, 1, 1)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT 1) AS a; DELETE FROM odd; --", "can't be run"),
        ("DELETE FROM odd RETURNING id", "can't be run"),
        ("WITH gone AS (DELETE FROM odd RETURNING id) SELECT * FROM gone", "can't be run"),
        ("SELECT id, id FROM odd", "twice"),
        ("SELECT nothing FROM odd", "nothing"),
    ],
)
def test_a_query_that_would_write_or_is_none_is_refused_and_changes_nothing(world, sales, statement, said):
    with pytest.raises(BadRequest, match=said):
        world.tables(sales, query=statement, name="q", key=("id",))
    with psycopg.connect(sales) as connection:
        assert connection.execute("SELECT count(*) FROM odd").fetchone() == (1,)
    assert not world.home.book.exists()


def test_arrays_json_and_ranges_are_readable_and_arrays_are_lists_to_filter_by(world, sales):
    world.tables(sales, tables=("odd",))
    found = row(world, "public.odd/1")
    assert found["text"] == 'id: 1\nwords: a, b, 한글\nnumbers: 1, 2\ndays: 2026-01-31\ngrid: 1, 2, 3, 4\ndata: {"k": ["v"]}\nspan: [1,5)'
    assert found["attributes"]["words"] == ["a, b", "한글"]
    assert found["attributes"]["numbers"] == [1, 2]
    notices = [event.text for event in world.events if isinstance(event, Notice)]
    assert any("b (bytea[])" in text and "bytes" in text for text in notices)
    assert any("pt (point)" in text for text in notices)


def test_a_dry_run_tells_what_would_be_read_and_writes_nothing(world, sales):
    asked = Asked(schemas=("sales",), tables=("odd",), text=("orders=note",))
    found, left = preview_postgres(Home(world.home.root), sales, asked, "shop")
    assert not world.home.book.exists()
    assert not world.home.secrets.exists()
    by_name = {one.source.rsplit("/", 1)[1]: one for one in found}
    orders = by_name["sales.orders"]
    assert (orders.rows, orders.documents, orders.key, orders.text) == (3, 0, ("id",), ("note",))
    assert orders.parents == ("customer_id: sales.customer (name, city)",)
    assert any("secret_token" in reason for reason in orders.unused)
    assert "by their transactions" in orders.changes
    assert by_name["public.odd"].example.startswith("id: 1\nwords: a, b, 한글\nnumbers: 1, 2\n")
    assert len(left) == 2
    world.tables(sales, tables=("sales.orders",), text=("note",))
    assert (orders.example,) in world.sql("SELECT text FROM chunks")
    ((again,), _) = preview_postgres(Home(world.home.root), sales, Asked(tables=("sales.open_orders",), key=("id",)), "shop")
    assert "since it is a view" in again.changes


def test_a_store_takes_tables_under_both_unicode_forms_of_its_name(world, sales):
    composed, apart = "가게", unicodedata.normalize("NFD", "가게")
    world.table(sales, "odd", store=composed)
    for name in (composed, apart):
        ((found,), _) = preview_postgres(world.home, sales, Asked(tables=("odd",)), name)
        assert found.documents == 1
    (report,) = ingest_postgres(world.home, sales, Asked(tables=("odd",)), apart, both(make(*NEW), world.embedder), WordCounter())
    assert (report.store, report.unchanged) == (composed, 1)
    assert [one.state for one in statuses(world.home, apart)] == ["previous", "current"]


def test_a_row_that_points_at_its_own_table_brings_that_rows_name(world, database):
    run(
        database,
        "CREATE TABLE staff (id int PRIMARY KEY, name text, boss_id bigint REFERENCES staff);"
        "INSERT INTO staff VALUES (1, '사장', NULL), (2, 'Kim', 1), (3, 'Lee', 2)",
    )
    world.table(database, "staff")
    assert row(world, "public.staff/3")["text"] == "Lee\n\nid: 3\nboss_id: 2\nboss: Kim"
    run(database, "UPDATE staff SET name = 'Park' WHERE id = 2")
    report = world.sync()
    assert (report.changed, report.unchanged) == (2, 1)
    assert row(world, "public.staff/3")["attributes"]["boss"] == "Park"
