"""What a JSON schema becomes is judged by llama.cpp's own grammar engine: fitting texts are taken, others refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from grammar_engine import GrammarEngine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.engine.grammar import schema
from models.engine.llama.model import Model

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "boolean"}}}
LIST = {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}
CASES: list[tuple[Any, list[str], list[str]]] = [
    (
        {**OBJECT, "required": ["b"]},
        ['{"b":"x"}', '{"a": 1, "b": "x", "c": true}', '{\n  "b": "한글",\n  "c": false\n}', '{"b":"\\u00e9\\n"}'],
        ["{}", '{"a":1}', '{"b":1}', '{"b":"x","d":1}', '{"b":"x","a":1}', '{"b":"x",}', '{"b":"x"} '],
    ),
    (OBJECT, ["{}", '{"a":1}', '{"c":true}', '{"a":1,"c":true}', '{"b":"","c":true}'], ['{"c":true,"a":1}', "{,}", '{"a":1 "c":true}']),
    (
        {
            "type": "object",
            "properties": {"ab": {"type": "integer"}, "ac": {}},
            "required": ["ab"],
            "additionalProperties": {"type": "string"},
        },
        ['{"ab":1}', '{"ab":1,"abc":"y","a":"q","":""}', '{"ab":1,"ac":[1,{"z":null}]}'],
        ['{"ab":1,"x":1}', '{"ab":1,"ab":"x"}', '{"x":"y","ab":1}'],
    ),
    ({"type": "object"}, ["{}", '{"a":{"b":[]}}'], ["[]", "{", '{"a"}']),
    ({"required": ["x"]}, ['{"x":1}'], ["{}"]),
    ({"type": "integer", "minimum": -5, "maximum": 120}, ["-5", "-1", "0", "7", "99", "120"], ["-6", "121", "200", "1.0", "-0", "007"]),
    ({"type": "integer", "minimum": 0}, ["0", "5", "12345"], ["-1", "01"]),
    ({"type": "integer", "exclusiveMaximum": 0}, ["-1", "-10"], ["0", "1"]),
    ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.5", "1.0"], ["-0.1", "1.01", "2", "1.5"]),
    ({"type": "number", "exclusiveMinimum": 0.5, "maximum": 0.75}, ["0.6", "0.75", "0.51"], ["0.5", "0.76", "0", "1"]),
    ({"type": "number", "minimum": -2.5, "maximum": 10.25}, ["-2.5", "-2", "0", "5.55", "10.25"], ["-2.6", "10.26", "11", "-3"]),
    ({"type": "number", "exclusiveMinimum": 0}, ["0.1", "5", "0.0001"], ["0", "0.0", "-1"]),
    ({"type": "number"}, ["1", "-1.5", "1e5", "0.0"], ["01", ".5", "NaN"]),
    (
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
        ['["a"]', '["a", "b", "a"]'],
        ["[]", '["c"]', '["a","a","a","a"]'],
    ),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False}, ['[1,"a"]'], ['[1,"a",2]', '["a",1]']),
    ({"type": "array"}, ["[]", '[1,{"a":[]}]'], ["{}", "[1,]"]),
    ({"enum": ["x", 1, None, {"a": [1, 2]}]}, ['"x"', "1", "null", '{"a": [1, 2]}'], ["2", '"y"', "false"]),
    ({"const": '한"국\\'}, ['"한\\"국\\\\"'], ['"한국"']),
    ({"type": "string", "pattern": "^[A-Z]{2}-\\d{3,4}$"}, ['"AB-123"', '"AB-1234"'], ['"AB-12"', '"ab-123"', '"AB-12345"']),
    ({"type": "string", "pattern": '^(foo|ba[rz]+)\\.("|\\\\)?\\s$'}, ['"foo. "', '"barr.\\" "', '"baz.\\\\\\t"'], ['"foo"', '"fooX "']),
    ({"type": "string", "pattern": "b+"}, ['"abc"', '"b"'], ['"ac"', '""']),
    ({"type": "string", "pattern": "^[^a-c]*$"}, ['"xyz"', '""', '"d한"', '"\\n"'], ['"a"', '"xb"']),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ['"ab"', '"한글말"', '"\\n\\n"'], ['"a"', '"abcde"', '""']),
    ({"type": "string", "maxLength": 5000}, ['""', f'"{"a" * 5000}"', f'"{"a" * 3999}"'], [f'"{"a" * 5001}"']),
    (
        {"type": "string", "format": "date"},
        ['"2024-02-29"', '"2023-12-31"', '"2000-02-29"'],
        ['"2023-02-29"', '"2023-13-01"', '"1900-02-29"'],
    ),
    ({"type": "string", "format": "date-time"}, ['"2023-12-31T23:59:59.123+09:00"'], ['"2023-12-31"', '"2023-12-31T24:00:00Z"']),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"x"']),
    ({"type": "string", "format": "email"}, ['"kim.min-su@example.co.kr"'], ['"kim"', '"@a.b"']),
    ({"type": "string", "format": "ipv4"}, ['"127.0.0.1"'], ['"256.0.0.1"', '"1.2.3"']),
    ({"type": "string", "format": "no-such-format"}, ['"anything"'], ["1"]),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ['"a"', "null"], ["1"]),
    ({"type": ["string", "null"]}, ['"a"', "null"], ["1"]),
    (
        {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "anyOf": [{"required": ["n"]}, {"properties": {"m": {}}, "required": ["m"]}],
        },
        ['{"n":1}', '{"n":1,"m":2}', '{"m":"x"}'],
        ["{}"],
    ),
    (
        {"allOf": [{"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}, {"properties": {"a": {"maximum": 5}}}]},
        ['{"a":3}', '{"a":5}'],
        ['{"a":6}', '{"a":2}', "{}"],
    ),
    ({"$ref": "#/$defs/n", "$defs": {"n": {**LIST, "required": ["v", "next"]}}}, ['{"v":1,"next":{"v":2,"next":null}}'], ['{"v":1}']),
    ({"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#"}}}}, ["{}", '{"c":[{"c":[{}]}]}'], ['{"c":[1]}']),
    ({"$ref": "#/$defs/a", "maxLength": 2, "$defs": {"a": {"type": "string"}}}, ['"ab"'], ['"abc"']),
    ({}, ["1", "{}", '"a"', "null"], ["", "nope"]),
]


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[GrammarEngine]:
    model = Model(smollm2)
    yield GrammarEngine(model)
    model.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case[0])[:60])
def test_fitting_texts_are_taken_and_others_refused(engine: GrammarEngine, case: tuple[Any, list[str], list[str]]) -> None:
    asked, fitting, others = case
    source = schema.grammar(asked)
    assert engine.takes(source, *fitting) == [True] * len(fitting)
    assert engine.takes(source, *others) == [False] * len(others)
    for text in fitting:
        jsonschema.validate(json.loads(text), asked, format_checker=jsonschema.FormatChecker())


# The small model's vocabulary lacks some bytes of rarer letters.
LETTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(LETTERS, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab한"\\', min_size=1, max_size=4), inner, max_size=3),
    max_leaves=8,
)


def described(value: Any) -> dict[str, Any]:
    """A schema that this value fits."""
    match value:
        case None:
            return {"type": "null"}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": value - 3, "maximum": value + 40}
        case str():
            return {"type": "string", "minLength": max(0, len(value) - 1), "maxLength": len(value) + 1}
        case list():
            first = {"prefixItems": [described(one) for one in value]} if value else {}
            return {"type": "array", **first, "items": False, "minItems": len(value)}
    return {"type": "object", "properties": {key: described(one) for key, one in value.items()}, "required": list(value)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES, indent=st.sampled_from([None, 2]))
def test_every_value_is_taken_by_a_schema_that_describes_it(engine: GrammarEngine, value: Any, indent: int | None) -> None:
    asked = described(value)
    jsonschema.validate(value, asked)
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert engine.takes(schema.grammar(asked), text) == [True]
    assert engine.takes(schema.grammar(True), text) == [True]


@settings(max_examples=80, deadline=None)
@given(low=st.integers(-2000, 2000), width=st.integers(0, 1500), value=st.integers(-4000, 4000))
def test_a_whole_number_is_taken_exactly_when_it_lies_between_its_bounds(engine: GrammarEngine, low: int, width: int, value: int) -> None:
    source = schema.grammar({"type": "integer", "minimum": low, "maximum": low + width})
    assert engine.takes(source, str(value)) == [low <= value <= low + width]


@settings(max_examples=100, deadline=None)
@given(low=st.integers(-3000, 3000), width=st.integers(1, 3000), value=st.integers(-7000, 7000), out=st.booleans())
def test_a_number_is_taken_exactly_when_it_lies_between_its_bounds(
    engine: GrammarEngine, low: int, width: int, value: int, out: bool
) -> None:
    words = ("exclusiveMinimum", "exclusiveMaximum") if out else ("minimum", "maximum")
    asked = {"type": "number", words[0]: low / 100, words[1]: (low + width) / 100}
    fits = low < value < low + width if out else low <= value <= low + width
    text = json.dumps(value / 100)
    # A number that is no integer and has at most two digits behind its point has one writing here, but for -0.0.
    assert engine.takes(schema.grammar(asked), text) == [fits and text != "-0.0"]
