"""Two JSON schemas that both hold become one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]
_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
# Words that say nothing about a value.
REMARKS = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType"}
    | {"$schema", "$id", "$anchor", "$comment", "$vocabulary", "$defs", "definitions", "strict", "discriminator", "xml", "externalDocs"}
)
_MOST = 64  # alternatives of two choices that both hold


def merge(one: Any, other: Any, refuse: Callable[[str], None]) -> Any:
    """A schema of the values that fit both; False where no value can. `refuse` is told of what can't be merged, and may raise."""
    if one is False or other is False:
        return False
    if not isinstance(one, Mapping) or not one:
        return other if isinstance(one, Mapping) or one is True else one
    if not isinstance(other, Mapping) or not other:
        return one
    result: Schema = {key: value for key, value in one.items() if key not in REMARKS}
    _close(result, other)
    given = {key: value for key, value in other.items() if key not in REMARKS}
    _open(given, one)
    for key, value in given.items():
        result[key] = value if key not in result else _both(key, result[key], value, refuse)
        if result[key] is None and key in ("type", "enum"):
            return False
    return result


def _close(result: Schema, other: Mapping[str, Any]) -> None:
    """What one side alone names is not for the other side that names everything it knows."""
    if result.get("additionalProperties") is False and "properties" in other:
        known = result.get("properties") or {}
        result["properties"] = {**known, **{name: False for name in other["properties"] if name not in known}}


def _open(given: Schema, one: Mapping[str, Any]) -> None:
    if given.get("additionalProperties") is False and "properties" in one:
        known = given.get("properties") or {}
        given["properties"] = {**{name: False for name in one["properties"] if name not in known}, **known}


def _both(key: str, one: Any, other: Any, refuse: Callable[[str], None]) -> Any:
    """One keyword of both sides; None for a type or an enum that nothing fits."""
    if one == other:
        return one
    if key in _LARGER or key in _SMALLER:
        return max(one, other) if key in _LARGER else min(one, other)
    match key:
        case "properties" | "patternProperties":
            return {**one, **{name: merge(one[name], schema, refuse) if name in one else schema for name, schema in other.items()}}
        case "required":
            return [*one, *(name for name in other if name not in one)]
        case "type":
            return types(one, other)
        case "enum":
            return [value for value in one if value in other] or None
        case "items" | "additionalProperties":
            return merge(one, other, refuse)
        case "prefixItems":
            longer, shorter = sorted((one, other), key=len, reverse=True)
            return [*map(lambda left, right: merge(left, right, refuse), longer, shorter), *longer[len(shorter) :]]
        case "anyOf" if len(one) * len(other) <= _MOST:
            return [merge(left, right, refuse) for left in one for right in other]
    refuse(f"'{key}' is said twice, differently")
    return one


def types(one: Any, other: Any) -> list[str] | None:
    """The types that both allow; every integer is a number."""
    left, right = listed(one), listed(other)
    common = [name for name in left if name in right or (name == "integer" and "number" in right)]
    common += [name for name in right if name == "integer" and "number" in left and name not in common]
    return common or None


def listed(value: Any) -> list[Any]:
    """A list as it stands, else a list of one."""
    return value if isinstance(value, list) else [value]
