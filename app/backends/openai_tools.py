"""Tools, calls and formats as an upstream that speaks OpenAI's API has them. Pure."""

from __future__ import annotations

from typing import Any

from app.core.records import CallPart, Format, Generation


def asked(request: Generation) -> dict[str, Any]:
    """What a chat's body has of them: only what was asked for."""
    body: dict[str, Any] = {}
    if request.tools:
        choice = request.tool_choice
        named = {"type": "function", "function": {"name": choice}}
        body = {"tools": list(request.tools), "tool_choice": choice if choice in ("auto", "none", "required") else named}
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if effort := request.template_values.get("reasoning_effort"):
        body["reasoning_effort"] = effort
    return body | (form(request.format) if request.format else {})


def form(wanted: Format) -> dict[str, Any]:
    """A format; a grammar is llama.cpp's field."""
    if wanted.kind == "gbnf":
        return {"grammar": wanted.grammar}
    if wanted.kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema = {"name": wanted.name or "answer", "schema": wanted.schema, "strict": wanted.strict}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def calls(given: Any) -> tuple[CallPart, ...]:
    """Parts of calls out of a delta; what else an upstream puts there does not pass on."""
    parts = []
    for at, one in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(one, dict):
            continue
        function, index = one.get("function"), one.get("index")
        said = function if isinstance(function, dict) else {}
        texts = (one.get("id"), said.get("name"), said.get("arguments"))
        id, name, arguments = (text if isinstance(text, str) else "" for text in texts)
        parts.append(CallPart(index if isinstance(index, int) else at, id, name, arguments))
    return tuple(parts)
