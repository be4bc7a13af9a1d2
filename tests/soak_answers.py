"""What an answer of `bench/soak.py` is worth: `whole`, `cut off` by its limit and by nothing else, or `broken: ` and why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from typing import Any, NamedTuple

import jsonschema

CLEAR = {"worker_died", "busy", "context_length_exceeded", "not_ready", "invalid_request", "bad_schema", "bad_grammar"}


class Answer(NamedTuple):
    """`calls`: names and arguments as JSON; `reason`: why it ended, as it says itself."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    reason: str | None = None


def whole(body: Mapping[str, Any]) -> Answer:
    """One that came in one piece."""
    choice = body["choices"][0]
    calls = [call["function"] for call in choice["message"].get("tool_calls") or ()]
    text = choice["message"].get("content") or ""
    return Answer(text, tuple((call["name"], call["arguments"]) for call in calls), choice["finish_reason"])


async def streamed(lines: AsyncIterable[bytes]) -> Answer | str:
    """One that came as events; an outcome where they told of an error, or broke off."""
    text, calls, reason, done = "", dict[int, tuple[str, str]](), None, False
    async for line in lines:
        if not line.startswith(b"data: "):
            continue
        if line[6:].strip() == b"[DONE]":
            done = True
            continue
        event = json.loads(line[6:])
        if "error" in event:
            return refused(event["error"])
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or ():
                name, given = calls.get(call["index"], ("", ""))
                calls[call["index"]] = name + (call["function"].get("name") or ""), given + (call["function"].get("arguments") or "")
            reason = choice.get("finish_reason") or reason
    return Answer(text, tuple(calls.values()), reason) if done else "broken: the stream ended without its end"


def refused(error: Mapping[str, Any]) -> str:
    """An error that says what it is about, or not."""
    return f"error {error['code']}" if error.get("code") in CLEAR and error.get("message") else f"unclear: {error}"


def of_text(answer: Answer) -> str:
    """Of a text, which may end where it likes."""
    return "whole" if answer.reason in ("stop", "length") else f"broken: it ended with {answer.reason}"


def of_form(answer: Answer, schema: Mapping[str, Any]) -> str:
    """Of one that has to fit a schema."""
    if answer.reason not in ("stop", "length"):
        return f"broken: it ended with {answer.reason}"
    return _fits(answer.text, schema, cut=answer.reason == "length")


def of_call(answer: Answer, tool: Mapping[str, Any]) -> str:
    """Of one that has to call this function, once or several times."""
    if answer.reason not in ("tool_calls", "length"):
        return f"broken: it had to call, and ended with {answer.reason}"
    cut = answer.reason == "length"
    if not answer.calls:
        return "cut off" if cut else "broken: it told of calls and made none"
    last = len(answer.calls) - 1
    for at, (name, arguments) in enumerate(answer.calls):
        if name != tool["function"]["name"]:
            return f"broken: it called {name}"
        worth = _fits(arguments, tool["function"]["parameters"], cut=cut and at == last)
        if worth != "whole":
            return worth
    return "whole"


def _fits(text: str, schema: Mapping[str, Any], *, cut: bool) -> str:
    """`cut`: the limit may have come before its end."""
    try:
        jsonschema.validate(json.loads(text), schema)
    except json.JSONDecodeError:
        return "cut off" if cut and text.lstrip()[:1] in ("", "{") else f"broken: no JSON: {text[-80:]}"
    except jsonschema.ValidationError as error:
        return f"broken: {error.message[:80]}"
    return "whole"
