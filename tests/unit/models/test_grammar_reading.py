"""Grammars and schemas that can't be kept are refused with their place; the gate says from where on a grammar holds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.core.errors import BadRequest
from models.engine.grammar import gbnf, schema
from models.engine.grammar.rule import Gate


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (False, "nothing fits"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "no number"),
        ({"type": "string", "enum": [1]}, "no value"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$ref": "#/x"}, "points to nothing"),
        ({"$ref": "https://example.com/a"}, "does not point into this schema"),
        ({"not": {}}, "#/not"),
        ({"type": "foo"}, "'foo'"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "larger"),
        ({"type": "string", "pattern": "^(?=a)"}, "#/pattern"),
        ({"type": "string", "pattern": "a{2"}, "#/pattern"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "nothing fits"),
        ([], "an object, true or false"),
        ({"properties": {"a": 3}}, "#/properties/a"),
        ({"anyOf": []}, "#/anyOf"),
        ({"type": "object", "properties": {"a": {"anyOf": [False, {"not": {}}]}}}, "#/properties/a/anyOf/1/not"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "#/properties/a"),
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
        ({"type": "string", "minLength": "x"}, "#/minLength"),
        ({"type": "number", "minimum": float("inf")}, "no number"),
        ({"required": [1]}, "#/required"),
        ({"enum": 3}, "#/enum"),
    ],
)
def test_a_schema_that_can_not_be_kept_is_refused_with_its_place(asked: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(said)) as error:
        schema.grammar(asked)
    assert error.value.param == "response_format"


def test_a_schema_that_is_not_strict_loses_what_a_grammar_can_not_say() -> None:
    assert schema.grammar({"type": "array", "uniqueItems": True}, strict=False)
    with pytest.raises(BadRequest):
        schema.grammar(False, strict=False)


def test_a_schema_without_an_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    with pytest.raises(BadRequest, match="too deep"):
        schema.grammar(deep)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('root = "a"', "line 1"),
        ("root ::= x", "nothing defines 'x'"),
        ('foo ::= "a"', "root"),
        ("", "root"),
        ('root ::= "a"{3,1}', "first number"),
        ('root ::= "a"{2001}', "2,000"),
        (f"root ::= {'(' * 200}{')' * 200}", "100 parentheses"),
        ('root ::= ("a"', "in the middle"),
        ('root ::= "a")', "can't stand here"),
        ('root ::= "a\nroot2 ::= "b"', "line 1"),
        ('# first\nroot ::= "a" [b', "line 2"),
        ("root ::= *", "can't stand here"),
        ('root ::= "\\xZZ"', "can't be read"),
        ("x" * 300_000, "300,000"),
    ],
)
def test_a_grammar_that_is_written_badly_is_refused_with_its_line(source: str, said: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(said)):
        gbnf.check(source)


def test_a_grammar_that_is_written_well_is_taken() -> None:
    gbnf.check('# a comment\nroot ::= ("a" | b+)? [^x-z\\n]{1,3} . # more\n  # more\nb ::=\n  "c" |\n  "d"\r\n')


def state(gate: Gate, text: bytes) -> tuple[str, bytes | None]:
    view = gate.look(text)
    gate.take(text)
    return view.state, view.tail


PAIRS = (("<think>", "</think>"),)


def test_without_thoughts_before_it_a_grammar_holds_from_the_first_byte() -> None:
    assert state(Gate(), b"x") == ("bound", b"x")
    assert state(Gate(PAIRS), b"x") == ("bound", b"x")


def test_thoughts_are_free_and_the_grammar_holds_behind_them() -> None:
    gate = Gate(PAIRS)
    assert state(gate, b"<th") == ("start", None)
    assert gate.pending == b"<th"
    assert state(gate, b"ink>hm") == ("thinking", None)
    assert state(gate, b" </thi") == ("thinking", None)
    assert gate.wanted == b"nk>"
    assert state(gate, b"nk>\n") == ("blank", None)
    assert state(gate, b'\n{"a') == ("bound", b'{"a')
    assert state(gate, b'"') == ("bound", b'"')


def test_what_only_looked_like_a_mark_is_for_the_grammar() -> None:
    gate = Gate(PAIRS)
    assert state(gate, b"<th") == ("start", None)
    assert state(gate, b"e") == ("bound", b"<the")


def test_a_trigger_binds_from_its_first_letter_and_not_in_code_or_thoughts() -> None:
    gate = Gate(PAIRS, opened="</think>", trigger=re.compile(b"(<call>)"))
    assert state(gate, b"<call> hm</think>") == ("text", None)
    assert state(gate, b"write `<call>` or ```\n<call>```, but <ca") == ("text", None)
    assert not gate.eager
    assert state(gate, b"ll>{") == ("bound", b"<call>{")


def test_thoughts_that_have_spent_their_budget_are_to_be_closed() -> None:
    gate = Gate(PAIRS, opened="</think>", budget=2)
    assert not gate.overspent
    gate.take(b"a")
    gate.take(b"b")
    assert gate.overspent
    gate.take(b"</think>")
    assert not gate.overspent
