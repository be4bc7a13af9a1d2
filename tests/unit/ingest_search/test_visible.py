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


def visible(filters: dict[str, Any], principal: Principal, *documents: tuple[dict[str, Any], list[str]], escaped: bool = True) -> list[int]:
    """The places of the documents (attributes, access) that SQLite lets through; `escaped`: JSON in ASCII, as the book has it."""
    book = sqlite3.connect(":memory:")
    book.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)  # where the system's SQLite takes more
    book.execute("CREATE TABLE documents (pk INTEGER PRIMARY KEY, attributes TEXT, access TEXT)")
    rows = [
        (place, json.dumps(attributes, ensure_ascii=escaped), json.dumps(access)) for place, (attributes, access) in enumerate(documents)
    ]
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


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("name", ["region", "지역", "담당 부서", "a.b", "[0]", "$", "back\\slash", "tab\t", "😀", "\\u0041"])
def test_a_filter_keeps_documents_with_that_value_whatever_the_attribute_is_called(name: str, escaped: bool) -> None:
    documents = [({name: "서울"}, []), ({name: "부산"}, []), ({}, []), ({name: ["대전", "서울"]}, [])]
    assert visible({name: "서울"}, OWNER, *documents, escaped=escaped) == [0, 3]
    assert visible({name: ["부산", None]}, OWNER, *documents, escaped=escaped) == [1, 2]


def test_numbers_that_no_document_could_hold_find_nothing() -> None:
    assert visible({"year": [2**70, -(2**63) - 1]}, OWNER, ({"year": 2024}, []), ({"year": str(2**70)}, [])) == [1]
    assert visible({"year": [2**63 - 1]}, OWNER, ({"year": 2**63 - 1}, [])) == [0]


def test_filters_beyond_what_a_question_needs_are_refused() -> None:
    with pytest.raises(BadRequest, match="more than 32 attributes"):
        restriction({f"a{n}": n for n in range(33)}, OWNER)
    with pytest.raises(BadRequest, match="more than 1000 values"):
        restriction({"a": list(range(1000)), "b": ["x"]}, OWNER)
    most: dict[str, Any] = {f"열{n}": [f"{value}.5" for value in range(31)] for n in range(32)}
    assert visible(most, OWNER, ({}, []), (dict.fromkeys(most, 7.5), [])) == [1]


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
