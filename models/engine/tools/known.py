"""The tools of a request, as they may be called. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import BadRequest
from app.core.records import Generation
from models.engine.grammar.merge import REMARKS, listed
from models.engine.tools.parts import Tool

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MOST = 256
_DEEPEST = 20  # references that lead on to others
_DEFINITION = re.compile(r"#/(\$defs|definitions)/([^/]+)")
_OBJECT = 'Arguments are an object: say {"type": "object", "properties": {...}}.'
_NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def known(given: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    """The functions among OpenAI's `tools`. BadRequest with the place of what can't be used."""
    if len(given) > _MOST:
        raise _wrong(f"there are {len(given)} tools, more than {_MOST}")
    tools: dict[str, Tool] = {}
    for at, tool in enumerate(given):
        function = tool.get("function")
        if tool.get("type", "function") != "function" or not isinstance(function, Mapping):
            raise _wrong(f"tools[{at}] is of type {tool.get('type')!r}", 'Only {"type": "function", "function": {...}} is known.')
        name, parameters = function.get("name"), function.get("parameters")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _wrong(f"tools[{at}].function.name is {name!r}", "Take letters, digits, _, . and -; at most 128.")
        if name in tools:
            raise _wrong(f"two tools are called '{name}'")
        if parameters is not None and not isinstance(parameters, Mapping):
            raise _wrong(f"tools[{at}].function.parameters is no JSON schema of an object", _OBJECT)
        tools[name] = Tool(name, _object(parameters, f"tools[{at}].function.parameters"), function.get("strict") is True)
    return tuple(tools.values())


def callable_tools(request: Generation) -> tuple[Tool, ...]:
    """Those that this answer may call. BadRequest where `tool_choice` names none of them."""
    tools = known(request.tools)
    match request.tool_choice:
        case "none":
            return ()
        case "auto":
            return tools
        case "required":
            if not tools:
                raise _wrong("a call is required, but there are no tools", param="tool_choice")
            return tools
    chosen = tuple(tool for tool in tools if tool.name == request.tool_choice)
    if not chosen:
        raise _wrong(f"tool_choice names '{request.tool_choice}', which is none of the tools", param="tool_choice")
    return chosen


def _object(parameters: Mapping[str, Any] | None, place: str) -> Mapping[str, Any]:
    """Arguments are an object, also where the schema doesn't say so. BadRequest where it says otherwise."""
    if not parameters:
        return _NOTHING
    parameters = _referred(parameters)
    kind = parameters.get("type", "object")
    if "object" not in listed(kind):
        raise _wrong(f"{place} is of type {kind!r}", _OBJECT)
    if parameters.get("properties") == {} and "additionalProperties" not in parameters:
        parameters = {**parameters, "additionalProperties": False}
    return {**parameters, "type": "object"}


def _referred(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition of its own that a schema is nothing but a reference to, with all of them; else the schema as it stands."""
    for _ in range(_DEEPEST):
        found = _DEFINITION.fullmatch(str(parameters.get("$ref"))) if set(parameters) - REMARKS == {"$ref"} else None
        meant = parameters[found[1]].get(found[2]) if found and isinstance(parameters.get(found[1]), Mapping) else None
        if found is None or not isinstance(meant, Mapping):
            break
        parameters = {**meant, found[1]: parameters[found[1]]}
    return parameters


def _wrong(what: str, hint: str = "", *, param: str = "tools") -> BadRequest:
    return BadRequest(f"The tools can't be used: {what}.", hint=hint, param=param)
