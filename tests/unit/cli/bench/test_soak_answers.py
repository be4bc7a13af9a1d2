"""The soak holds only where answers are whole, or cut off by their own limit: whatever else is told as a fault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from soak_answers import Answer, of_call, of_form, of_text, refused, streamed, whole

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}
GOOD, HALF = '{"age": 3}', '{"age":'


@pytest.mark.parametrize(
    ("text", "reason", "worth"),
    [
        (GOOD, "stop", "whole"),
        (GOOD, "length", "whole"),
        (HALF, "length", "cut off"),
        (HALF, "stop", "broken"),
        ("", "stop", "broken"),
        ('{"age": "old"}', "length", "broken"),
        ("Sure!", "length", "broken"),
        (GOOD, None, "broken"),
        (GOOD, "tool_calls", "broken"),
    ],
)
def test_an_answer_in_a_form_fits_it_unless_its_limit_cut_it_off(text: str, reason: str | None, worth: str) -> None:
    assert of_form(Answer(text, reason=reason), SCHEMA).partition(":")[0] == worth


@pytest.mark.parametrize(
    ("calls", "reason", "worth"),
    [
        ([GOOD], "tool_calls", "whole"),
        ([GOOD, GOOD], "tool_calls", "whole"),
        ([GOOD, HALF], "length", "cut off"),
        ([], "length", "cut off"),
        ([], "tool_calls", "broken"),
        ([], "stop", "broken"),
        ([GOOD], "stop", "broken"),
        ([HALF], "tool_calls", "broken"),
        ([HALF, GOOD], "length", "broken"),
        (["[]"], "tool_calls", "broken"),
    ],
)
def test_a_call_that_has_to_come_is_there_and_fits_unless_the_limit_cut_it_off(calls: list[str], reason: str, worth: str) -> None:
    answer = Answer(calls=tuple(("look_up", arguments) for arguments in calls), reason=reason)
    assert of_call(answer, TOOL).partition(":")[0] == worth


def test_a_call_of_another_function_is_broken() -> None:
    assert of_call(Answer(calls=(("other", GOOD),), reason="tool_calls"), TOOL) == "broken: it called other"


@pytest.mark.parametrize(("reason", "worth"), [("stop", "whole"), ("length", "whole"), ("tool_calls", "broken"), (None, "broken")])
def test_a_text_says_why_it_ended(reason: str | None, worth: str) -> None:
    assert of_text(Answer("Hi", reason=reason)).partition(":")[0] == worth


def test_an_error_is_clear_where_it_has_a_known_code_and_a_message() -> None:
    assert refused({"code": "busy", "message": "Later."}) == "error busy"
    assert refused({"code": "internal_error", "message": "Oh."}).startswith("unclear")
    assert refused({"code": "busy", "message": ""}).startswith("unclear")


async def lines(*events: Any) -> AsyncIterator[bytes]:
    for event in events:
        yield b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n"
        yield b"\n"


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": reason}]}


def part(arguments: str, **head: str) -> dict[str, Any]:
    return chunk(tool_calls=[{"index": 0, "function": {**head, "arguments": arguments}}])


async def test_a_streamed_answer_is_the_same_as_a_whole_one() -> None:
    call = {"function": {"name": "look_up", "arguments": GOOD}}
    body = {"choices": [{"message": {"content": "Hi", "tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    events = [chunk(content="Hi"), part(GOOD[:4], name="look_up"), part(GOOD[4:]), chunk("tool_calls"), b"[DONE]"]
    assert await streamed(lines(*events)) == whole(body) == Answer("Hi", (("look_up", GOOD),), "tool_calls")
    assert str(await streamed(lines(*events[:-1]))).startswith("broken")
    assert await streamed(lines(events[0], {"error": {"code": "worker_died", "message": "Again."}})) == "error worker_died"
