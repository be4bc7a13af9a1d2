"""Which documents a search may see: the asker's rights and the filters on attributes, as one SQL condition.

The condition speaks of the table `documents` under that name. Both legs of a search apply it before they cut their lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import BadRequest
from app.core.records import Principal

MOST_FILTERS, MOST_VALUES = 32, 1_000
"""Attributes that one search may name, and values that it may list for all of them: SQLite takes 32,766 in a statement."""


class Restriction(msgspec.Struct, frozen=True):
    """A condition with its values, hashable, so that what it allows can be remembered."""

    sql: str
    values: tuple[str | int | float | None, ...]


def restriction(filters: Mapping[str, Any], principal: Principal) -> Restriction | None:
    """None where everything is allowed. BadRequest for a filter that no attribute could meet.

    A filter's value is a word, a number, a truth value or null, or a list of those (any of them). An attribute that is
    a list meets it with any of its elements. A number and its spelling are the same: attributes of a CSV file are text.
    """
    parts: list[str] = []
    values: list[str | int | float | None] = []
    if not principal.owner:
        marks = ", ".join("?" * len(principal.groups))
        labels = f" OR EXISTS (SELECT 1 FROM json_each(documents.access) WHERE value IN ({marks}))" if principal.groups else ""  # noqa: S608 - question marks alone
        parts.append(f"(json_array_length(documents.access) = 0{labels})")
        values += principal.groups
    if len(filters) > MOST_FILTERS:
        raise BadRequest(f"The filters name more than {MOST_FILTERS} attributes.", hint="Filter by fewer.", param="filters")
    if sum(len(wanted) for wanted in filters.values() if isinstance(wanted, list | tuple)) > MOST_VALUES:
        raise BadRequest(f"The filters list more than {MOST_VALUES} values.", hint="Ask for fewer.", param="filters")
    for name, wanted in sorted(filters.items()):
        sql, found = _filter(name, wanted)
        parts.append(sql)
        values += found
    return Restriction(" AND ".join(parts), tuple(values)) if parts else None


def _filter(name: str, wanted: Any) -> tuple[str, list[str | int | float | None]]:
    if not name or '"' in name:
        raise BadRequest(f"No attribute can be called {name!r}.", hint="Filters name attributes of documents.", param="filters")
    options = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    if not options or any(not isinstance(option, str | int | float | None) for option in options):
        raise BadRequest(
            f'The filter on "{name}" must be a word, a number, true, false or null, or a list of those.', hint="", param="filters"
        )
    spelled = list(dict.fromkeys(spelling for option in options if option is not None for spelling in _spellings(option)))
    marks = ", ".join("?" * len(spelled))
    parts: list[str] = []
    values: list[str | int | float | None] = []
    paths = _paths(name)
    for path in paths if spelled else ():
        element = f"EXISTS (SELECT 1 FROM json_each(documents.attributes, ?) WHERE value IN ({marks}))"  # noqa: S608 - question marks alone
        parts.append(f"json_extract(documents.attributes, ?) IN ({marks}) OR (json_type(documents.attributes, ?) = 'array' AND {element})")
        values += [path, *spelled, path, path, *spelled]
    if None in options:
        parts.append(" AND ".join(["json_extract(documents.attributes, ?) IS NULL"] * len(paths)))
        values += paths
    return f"({' OR '.join(parts)})", values


def _paths(name: str) -> list[str]:
    """Where an attribute stands. SQLite compares a name with the letters of the JSON text, and the book has 한글 there as its escapes."""
    return list(dict.fromkeys([f"$.{json.dumps(name, ensure_ascii=False)}", f"$.{json.dumps(name)}"]))


def _spellings(option: str | float) -> list[str | int | float]:
    if isinstance(option, bool):
        return [int(option), "true" if option else "false", "True" if option else "False"]
    if isinstance(option, int) and not -(2**63) <= option < 2**63:
        return [str(option)]  # no number that the book could hold
    if isinstance(option, str):
        try:
            number = float(option)
        except ValueError:
            return [option]
        exact = abs(number) < 2**53
        return [option, int(number) if number.is_integer() else number] if exact else [option]
    return [option, str(option)]
