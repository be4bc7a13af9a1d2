"""What a request demands of an answer's form: formats, tools, thoughts. OpenAI's fields, and those of llama.cpp's server. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from app.core.errors import BadRequest
from app.core.records import Format

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class FormatFields(msgspec.Struct, kw_only=True):
    """`grammar` (GBNF) and `json_schema` are llama.cpp's."""

    response_format: dict[str, Any] | None = None
    json_schema: dict[str, Any] | bool | None = None
    grammar: str | None = None


def format_of(request: FormatFields) -> Format | None:
    """The form that the text must have; None for any. BadRequest for more than one, and for unknown ones."""
    asked = request.response_format or {}
    kind = asked.get("type", "text")
    given = [request.grammar or None, request.json_schema, None if kind == "text" else asked]
    if sum(one is not None for one in given) > 1:
        raise BadRequest(
            "More than one form is asked for.", hint="Send one of response_format, json_schema, grammar.", param="response_format"
        )
    if request.grammar:
        return Format("gbnf", grammar=request.grammar)
    if request.json_schema is not None:
        return Format("json_schema", request.json_schema)
    match kind:
        case "text":
            return None
        case "json_object":
            return Format("json_schema", asked["schema"]) if asked.get("schema") else Format("json_object")
        case "json_schema":
            return _schema(asked)
    raise BadRequest(f"response_format is of type {kind!r}.", hint="Send text, json_object or json_schema.", param="response_format")


def _schema(asked: Mapping[str, Any]) -> Format:
    inner = asked.get("json_schema")
    # llama.cpp's server takes the schema beside the type, too.
    inner = inner if isinstance(inner, Mapping) else asked
    if "schema" not in inner:
        raise BadRequest(
            "response_format has no schema.", hint='Send {"json_schema": {"name": ..., "schema": ...}}.', param="response_format"
        )
    return Format("json_schema", inner["schema"], strict=inner.get("strict") is not False, name=str(inner.get("name") or ""))


def choice_of(given: str | Mapping[str, Any] | None) -> str:
    """`tool_choice` as one word: auto, none, required, or a function's name."""
    if given is None:
        return "auto"
    if isinstance(given, str):
        if given in ("auto", "none", "required"):
            return given
        raise BadRequest(f"tool_choice is {given!r}.", hint='Send auto, none, required, or {"type": "function", ...}.', param="tool_choice")
    function = given.get("function")
    name = function.get("name") if isinstance(function, Mapping) else given.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest(
            "tool_choice names no function.", hint='Send {"type": "function", "function": {"name": ...}}.', param="tool_choice"
        )
    return name


def template_values(effort: Effort | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the chat template is told: how hard to think, not at all where the effort is none, and `given`."""
    values: dict[str, Any] = {} if effort is None else {"reasoning_effort": effort}
    if effort == "none":
        values = {"enable_thinking": False, "thinking": False}
    return {**values, **(given or {})}


def budget(tokens: int | None) -> int | None:
    """Tokens of thoughts; None (and llama.cpp's -1): no limit."""
    return None if tokens is None or tokens < 0 else tokens


def checked_calls(calls: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """An assistant's calls as they came back in the history. BadRequest for what no template could show."""
    for call in calls or ():
        function = call.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRequest("A tool call of the history has no function name.", hint="Send back what was answered.", param="messages")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str | Mapping):
            about = f"The arguments of the call to '{function['name']}' are no JSON object."
            raise BadRequest(about, hint="Send back what was answered.", param="messages")
        if isinstance(arguments, str) and arguments.strip():
            try:
                json.loads(arguments)
            except ValueError:
                raise BadRequest(
                    f"The arguments of the call to '{function['name']}' are no JSON.", hint="Send back what was answered.", param="messages"
                ) from None
    return calls
