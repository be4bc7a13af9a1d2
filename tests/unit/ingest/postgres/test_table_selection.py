from __future__ import annotations

import pytest

from app.core.errors import BadRequest, NotFound
from ingest.postgres.plan import ColumnInfo, Parent, TableInfo, Wishes, label_columns, make_plan
from ingest.postgres.selection import choose_table, choose_tables, wish_of
from ingest.postgres.spool import KeySpool

TABLES = [("public", "orders", True), ("public", "old_orders", True), ("sales", "orders", False), ("sales", "leads", False)]


def test_patterns_names_and_schemas_bring_each_table_once_and_remember_what_was_named_itself():
    assert choose_tables(["*orders", "orders"], ["sales"], TABLES) == [
        ("public", "orders", True),
        ("public", "old_orders", False),
        ("sales", "orders", False),
        ("sales", "leads", False),
    ]
    assert choose_tables(["sales.*"], [], TABLES) == [("sales", "orders", False), ("sales", "leads", False)]


def test_a_schema_or_pattern_that_nothing_has_is_an_error_that_names_what_there_is():
    with pytest.raises(NotFound, match="public, sales"):
        choose_tables([], ["sale"], TABLES)
    with pytest.raises(NotFound, match="leads"):
        choose_tables(["x*"], [], TABLES)


@pytest.mark.parametrize(
    ("name", "typed"),
    [("star*", "star*"), ("br[a]", '"br[a]"'), ('we"ird.name', '"we""ird.name"'), ('the "big" one', 'public.the "big" one')],
)
def test_a_name_of_quotes_stars_and_brackets_is_that_table(name, typed):
    tables = [("public", name, True), ("public", "bra", True), ("public", "stars", True)]
    assert choose_tables([typed], [], tables) == [("public", name, True)]
    assert choose_table(f"public.{name}", tables) == ("public", name)


def test_a_wish_is_of_one_table_or_of_all_others():
    chosen = [("public", "orders"), ("sales", "leads")]
    assert wish_of(["name", "leads=who, what"], chosen, "--text") == {("public", "orders"): "name", ("sales", "leads"): "who, what"}
    assert wish_of(["sales.leads=who"], chosen, "--text") == {("public", "orders"): "", ("sales", "leads"): "who"}
    assert wish_of(["https://x/?id={id}"], chosen, "--url")[("sales", "leads")] == "https://x/?id={id}"
    with pytest.raises(BadRequest, match="lead is not among"):
        wish_of(["lead=who"], chosen, "--text")


@pytest.mark.parametrize(
    ("table", "prose", "label"),
    [
        ("customer", ["email", "name", "city"], ("name", "city")),
        ("city", ["city"], ("city",)),
        ("categories", ["note"], ()),
        ("actor", ["first_name", "last_name", "note"], ("first_name", "last_name")),
        ("companies", ["회사명", "지역"], ("회사명", "지역")),
        ("orders", ["order_name"], ("order_name",)),
        ("users", ["password"], ()),
    ],
)
def test_what_names_a_parents_rows(table, prose, label):
    assert label_columns(table, prose) == label


@pytest.mark.parametrize(
    ("column", "called"),
    [("customer_id", "customer"), ("고객번호", "고객"), ("id", "owners"), ("owner", "owners"), ("customerId", "customer")],
)
def test_what_a_parent_is_called_in_the_childs_text(column, called):
    assert Parent(column, 1, "public", "owners", "id", ("name",)).called == called


def test_metadata_and_access_are_not_said_and_not_left_out():
    columns = [ColumnInfo("id", "int", "N", True)] + [ColumnInfo(name, "text", "S", False) for name in ("a", "b", "team")]
    table = TableInfo(1, "public", "t", tuple(columns), (("id",),))
    plan, notices = make_plan(table, Wishes(metadata=("b",), access="team"))
    assert (plan.text, plan.facts, plan.attributes, plan.access) == (("a",), ("id",), ("b",), "team")
    assert not notices
    assert plan.signature != make_plan(table, Wishes(metadata=("b",)))[0].signature


def test_keys_come_out_of_the_spool_as_they_went_in_however_many():
    with KeySpool() as spool:
        keys = [(f"키 {number}", "a\nb") for number in range(50_000)]
        for at in range(0, len(keys), 1000):
            spool.add(keys[at : at + 1000])
        assert spool.count == len(keys)
        assert [key for some in spool.portions(777) for key in some] == keys
