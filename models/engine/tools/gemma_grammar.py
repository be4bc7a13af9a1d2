"""The grammar of arguments in Gemma's writing: keys without quotes, texts between marks of their own. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.engine.grammar import schema
from models.engine.grammar.lists import entries, length
from models.engine.grammar.rules import Rules, either, literal

_DEEPEST = 20


def gemma_object(rules: Rules, parameters: Mapping[str, Any], quote: str, depth: int = 0) -> str:
    """Braces around the properties that the schema names; `{}` where it names none."""
    properties = parameters.get("properties")
    known: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    needed = parameters.get("required") or ()
    pairs = [
        (rules.add(key, f"{literal(f'{key}:')} {_value(rules, value, quote, depth + 1)}"), key in needed) for key, value in known.items()
    ]
    rules.shared("ws")
    return rules.add("object", f'"{{" {entries(pairs, rules)} "}}"')


def _value(rules: Rules, given: Any, quote: str, depth: int) -> str:
    text = f"{literal(quote)} [^<]{(length(given) if isinstance(given, Mapping) else None) or '*'} {literal(quote)}"
    if not isinstance(given, Mapping) or depth > _DEEPEST:
        return text
    values = given.get("enum", [given["const"]] if "const" in given else None)
    if isinstance(values, list) and values:
        return either([_literal(value, quote) for value in values])
    match given.get("type"):
        case "object":
            return gemma_object(rules, given, quote, depth)
        case "array":
            item = rules.add("item", _value(rules, given.get("items"), quote, depth + 1))
            return f'"[" ({item} ("," {item})*)? "]"'
        case "integer" | "number" | "boolean" | "null":
            return schema.add(rules, given, strict=False, param="tools")
    return text


def _literal(value: Any, quote: str) -> str:
    return literal(quote + value + quote if isinstance(value, str) else json.dumps(value))
