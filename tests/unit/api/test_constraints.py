"""What a request demands of an answer's form is read from OpenAI's fields and llama.cpp's, or refused with what to send."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.constraints import FormatFields, checked_calls, choice_of, format_of, template_values
from app.backends import openai_tools
from app.core.errors import BadRequest
from app.core.records import CallPart, Format, Generation

SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, Format("json_object")),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, Format("json_schema", SCHEMA)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": False}}},
            Format("json_schema", SCHEMA, strict=False, name="n"),
        ),
        ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, Format("json_schema", SCHEMA)),
        ({"json_schema": SCHEMA}, Format("json_schema", SCHEMA)),
        ({"grammar": 'root ::= "a"'}, Format("gbnf", grammar='root ::= "a"')),
        ({"grammar": "", "response_format": {"type": "json_object"}}, Format("json_object")),
    ],
)
def test_a_form_is_read_from_whoever_names_it(fields: dict[str, Any], form: Format | None) -> None:
    assert format_of(FormatFields(**fields)) == form


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_object"}, "grammar": "x"},
        {"json_schema": SCHEMA, "grammar": "x"},
    ],
)
def test_an_unknown_form_or_two_of_them_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        format_of(FormatFields(**fields))


def test_a_choice_is_one_word() -> None:
    assert [choice_of(given) for given in (None, "none", "required")] == ["auto", "none", "required"]
    assert choice_of({"type": "function", "function": {"name": "now"}}) == "now"
    for wrong in ("any", {"type": "function"}, {"function": {"name": 3}}):
        with pytest.raises(BadRequest):
            choice_of(wrong)


def test_no_effort_turns_thinking_off_and_the_callers_own_values_come_last() -> None:
    assert template_values("none", None) == {"enable_thinking": False, "thinking": False}
    assert template_values("high", {"enable_thinking": False}) == {"reasoning_effort": "high", "enable_thinking": False}
    assert template_values(None, None) == {}


def test_calls_of_the_history_have_names_and_json() -> None:
    assert checked_calls([{"function": {"name": "now", "arguments": ""}}, {"function": {"name": "now", "arguments": "{}"}}])
    assert checked_calls([{"function": {"name": "now", "arguments": {"a": 1}}}, {"function": {"name": "now", "arguments": None}}])
    odd = [{"function": {"name": "now", "arguments": arguments}} for arguments in ("{", 5, [1], True)]
    for wrong in ({"function": {}}, {}, *odd):
        with pytest.raises(BadRequest):
            checked_calls([wrong])


def test_an_upstream_is_asked_for_what_was_asked_of_us_and_for_nothing_else() -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    assert openai_tools.asked(Generation()) == {}
    asked = Generation(tools=(tool,), tool_choice="now", parallel_tool_calls=False, template_values={"reasoning_effort": "low", "x": 1})
    assert openai_tools.asked(asked) == {
        "tools": [tool],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
    }
    form = openai_tools.asked(Generation(format=Format("json_schema", SCHEMA, name="n")))
    assert form["response_format"] == {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}


def test_an_upstreams_calls_are_read_part_by_part_and_nonsense_passes_nothing_on() -> None:
    given = [{"index": 1, "id": "a", "type": "function", "function": {"name": "now", "arguments": "{"}, "event": {"run": "me"}}]
    assert openai_tools.calls(given) == (CallPart(1, "a", "now", "{"),)
    assert openai_tools.calls([{"function": {"arguments": "}"}}, 7, {"function": 3}]) == (CallPart(0, arguments="}"), CallPart(2))
    assert openai_tools.calls(None) == openai_tools.calls({}) == ()
