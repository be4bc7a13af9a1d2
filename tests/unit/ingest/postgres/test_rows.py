from __future__ import annotations

import pytest

from app.core.errors import BadRequest, NotFound
from ingest.documents import version_hash, version_hashes
from ingest.postgres.dsn import parse_dsn
from ingest.postgres.plan import ColumnInfo, TableInfo, Wishes, make_plan
from ingest.postgres.row import row_document, row_key
from ingest.postgres.selection import choose_table

TABLE = TableInfo(
    1,
    "public",
    "products",
    (
        ColumnInfo("id", "bigint", "N", True),
        ColumnInfo("이름", "text", "S", True),
        ColumnInfo("a.b", "text", "S", False),
        ColumnInfo("price", "numeric", "N", False),
        ColumnInfo("photo", "bytea", "U", False),
        ColumnInfo("vector", "vector", "U", False),
    ),
    (("id",),),
)


def document(values: dict[str, str | None], **how: object):
    plan, _ = make_plan(TABLE, Wishes(**how))  # type: ignore[arg-type]
    return row_document("here/public.products/1", "h", {"id": "1", **values}, plan)


def test_the_title_is_the_column_that_names_a_row_where_no_template_is_given():
    found = document({"이름": "온돌 매트", "a.b": "soft", "price": "39000.00"})
    assert found.title == "온돌 매트"
    assert [block.text for block in found.blocks] == ["이름: 온돌 매트", "a.b: soft", "id: 1\nprice: 39000.00"]
    assert found.attributes == {"id": 1, "price": 39000.0}


def test_a_title_may_use_any_column_and_nulls_are_blank():
    assert document({"이름": "매트", "a.b": "x", "price": None}, title="{이름} ({a.b}) {price}#{id}").title == "매트 (x) #1"


def test_a_lone_text_column_speaks_plainly_in_its_paragraphs():
    found = document({"이름": "매트", "a.b": "one\n\ntwo", "price": "1"}, text=("a.b",))
    assert [block.text for block in found.blocks] == ["one", "two", "id: 1\nprice: 1"]
    assert found.attributes["이름"] == "매트"


def test_a_row_of_a_key_alone_is_no_document():
    assert document({"이름": None, "a.b": " ", "price": None}) is None


def test_what_is_left_out_is_told():
    _, notices = make_plan(TABLE)
    assert len(notices) == 2
    assert "photo" in notices[0]


def test_another_choice_of_columns_is_another_version_of_the_same_row():
    one, other = document({"이름": "a"}), document({"이름": "a"}, text=("이름",))
    assert one.version != other.version


def test_columns_that_hold_secrets_by_their_name_are_taken_only_when_asked_for():
    table = TableInfo(1, "public", "staff", (*TABLE.columns[:2], ColumnInfo("password_hash", "text", "S", False)), (("id",),))
    plan, notices = make_plan(table)
    assert "password_hash" not in plan.columns
    assert "secrets" in notices[0]
    assert "password_hash" in make_plan(table, Wishes(text=("password_hash",)))[0].columns


def test_hashing_many_versions_gives_what_hashing_each_gives():
    assert version_hashes("shared", "rule")("end") == version_hash("sharedend", "rule")


def test_no_two_keys_look_alike():
    keys = [("a,b", "c"), ("a", "b,c"), ("a%2Cb", "c"), ("a", "b", "c"), ("a/b", "c"), ("a#b", "c")]
    assert len({row_key(key) for key in keys}) == len(keys)


def test_a_table_is_found_as_it_is_typed():
    tables = [("public", "Orders", True), ("public", "orders", True), ("sales", "orders", False), ("sales", "leads", False)]
    assert choose_table("orders", tables) == ("public", "orders")
    assert choose_table('"Orders"', tables) == ("public", "Orders")
    assert choose_table("ORDERS", tables) == ("public", "orders")
    assert choose_table("sales.orders", tables) == ("sales", "orders")
    with pytest.raises(NotFound, match=r"sales\.leads"):
        choose_table("leads", tables)


@pytest.mark.parametrize("title", ["{", "{}", "{이름!r}", "{이름:>3}"])
def test_a_title_that_is_no_template_is_refused(title):
    with pytest.raises(BadRequest, match="title"):
        make_plan(TABLE, Wishes(title=title))


def test_an_address_hides_its_password():
    dsn = parse_dsn("postgres://kim:p%40ss@db.example:5433/shop?sslmode=require")
    assert (dsn.connection, dsn.password, dsn.secret_name) == ("db.example:5433/shop", "p@ss", "postgresql://kim@db.example:5433/shop")
    assert "p@ss" not in repr(dsn)
    assert dsn.hide("failed for p@ss") == "failed for ***"
