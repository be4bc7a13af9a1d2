from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from app.core.errors import BadRequest
from app.core.records import Principal
from ingest.search.visible import restriction

OWNER = Principal()


def guest(*groups: str) -> Principal:
    return Principal(key="guest", groups=groups, owner=False)


def visible(filters: dict[str, Any], principal: Principal, *documents: tuple[dict[str, Any], list[str]]) -> list[int]:
    """The places of the documents (attributes, access) that SQLite lets through."""
    book = sqlite3.connect(":memory:")
    book.execute("CREATE TABLE documents (pk INTEGER PRIMARY KEY, attributes TEXT, access TEXT)")
    rows = [(place, json.dumps(attributes, ensure_ascii=False), json.dumps(access)) for place, (attributes, access) in enumerate(documents)]
    book.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)
    allowed = restriction(filters, principal)
    where, values = (allowed.sql, allowed.values) if allowed else ("1", ())
    return [pk for (pk,) in book.execute(f"SELECT pk FROM documents WHERE {where} ORDER BY pk", values)]


def test_the_owner_without_filters_is_not_restricted() -> None:
    assert restriction({}, OWNER) is None


@pytest.mark.parametrize("access", [[], ["sales"], ["sales", "hr"], ["x'); DROP TABLE documents; --"]])
@pytest.mark.parametrize("groups", [(), ("sales",), ("hr", "it"), ("x'); DROP TABLE documents; --",)])
def test_sql_and_the_principal_agree_on_who_may_read(access: list[str], groups: tuple[str, ...]) -> None:
    assert (visible({}, guest(*groups), ({}, access)) == [0]) == guest(*groups).may_read(tuple(access))


def test_a_filter_keeps_documents_with_that_value() -> None:
    assert visible({"지역": "서울"}, OWNER, ({"지역": "서울"}, []), ({"지역": "부산"}, []), ({}, [])) == [0]


def test_all_filters_must_be_met_and_a_list_means_any_of_them() -> None:
    documents = [({"a": 1, "b": "x"}, []), ({"a": 2, "b": "x"}, []), ({"a": 1, "b": "y"}, []), ({"a": 3, "b": "x"}, [])]
    assert visible({"a": [1, 2], "b": "x"}, OWNER, *documents) == [0, 1]


def test_a_number_and_its_spelling_are_the_same() -> None:
    documents = [({"year": 2024}, []), ({"year": "2024"}, []), ({"year": 2025}, [])]
    assert visible({"year": 2024}, OWNER, *documents) == visible({"year": "2024"}, OWNER, *documents) == [0, 1]


def test_a_list_attribute_is_met_by_any_of_its_elements() -> None:
    assert visible({"tags": "b"}, OWNER, ({"tags": ["a", "b"]}, []), ({"tags": ["c"]}, []), ({"tags": "b"}, [])) == [0, 2]


def test_null_asks_for_documents_without_the_attribute() -> None:
    assert visible({"a": None}, OWNER, ({"a": None}, []), ({}, []), ({"a": 0}, [])) == [0, 1]


def test_truth_values_are_found_as_json_and_as_words() -> None:
    assert visible({"paid": True}, OWNER, ({"paid": True}, []), ({"paid": "true"}, []), ({"paid": False}, [])) == [0, 1]


def test_names_and_values_never_become_sql() -> None:
    assert visible({"a'; --": "' OR 1=1 --"}, OWNER, ({"a": 1}, [])) == []


@pytest.mark.parametrize("filters", [{'a"b': 1}, {"": 1}, {"a": {"b": 1}}, {"a": []}, {"a": [[1]]}])
def test_a_filter_that_no_attribute_could_meet_is_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        restriction(filters, OWNER)


def test_a_number_too_large_for_the_book_is_only_compared_as_text() -> None:
    assert visible({"id": "123456789012345678901234567890"}, OWNER, ({"id": "123456789012345678901234567890"}, [])) == [0]
