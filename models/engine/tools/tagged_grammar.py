"""The grammar of calls with a tag for each parameter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.engine.grammar import schema
from models.engine.grammar.lists import length
from models.engine.grammar.rules import Rules, either, literal
from models.engine.tools.parts import Tool
from models.engine.tools.tagged_calls import is_text

# A text up to the next closing tag.
_FREE = '([^<] | "<"+ [^</])*'


def tagged_call(rules: Rules, tool: Tool, *, glm: bool) -> str:
    """One call: needed parameters have to come, others may, in the order of the schema."""
    properties = tool.parameters.get("properties")
    known: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    needed = tool.parameters.get("required") or ()
    parts = []
    for key, value in known.items():
        part = rules.add(key, _parameter(rules, tool, str(key), value, glm=glm))
        parts.append(part if key in needed else f"{part}?")
    if not known and tool.parameters.get("additionalProperties", True) is not False and tool.parameters.get("type") != "object":
        parts.append(rules.add("any", _any(glm=glm)) + "*")
    inside = " ".join(parts)
    if glm:
        return rules.add(tool.name, f'{literal(f"<tool_call>{tool.name}")} "\\n" {inside} "</tool_call>"')
    return rules.add(
        tool.name, f'"<tool_call>" "\\n"? {literal(f"<function={tool.name}>")} "\\n" {inside} "</function>" "\\n"? "</tool_call>"'
    )


def _parameter(rules: Rules, tool: Tool, key: str, value: Any, *, glm: bool) -> str:
    if not is_text(tool.parameters, key):
        inside = schema.add(rules, _rooted(value, tool.parameters), strict=tool.strict, param="tools")
    elif isinstance(value, Mapping) and ("enum" in value or "const" in value):
        inside = either([literal(str(one)) for one in value.get("enum", [value.get("const")])])
    else:
        inside = f"[^<]{counted}" if (counted := length(value)) else _FREE
    if glm:
        return f'{literal(f"<arg_key>{key}</arg_key>")} "\\n" "<arg_value>" {inside} "</arg_value>" "\\n"'
    return f'{literal(f"<parameter={key}>")} "\\n" {inside} "\\n"? "</parameter>" "\\n"'


def _any(*, glm: bool) -> str:
    if glm:
        return f'"<arg_key>" [^<\\n]+ "</arg_key>" "\\n" "<arg_value>" {_FREE} "</arg_value>" "\\n"'
    return f'"<parameter=" [^<>\\n]+ ">" "\\n" {_FREE} "</parameter>" "\\n"'


def _rooted(value: Any, parameters: Mapping[str, Any]) -> Any:
    """A parameter's schema with the definitions that it may refer to."""
    shared = {key: parameters[key] for key in ("$defs", "definitions") if key in parameters}
    return {**value, **shared} if shared and isinstance(value, Mapping) else value
