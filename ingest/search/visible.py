"""Which documents a search may see: the asker's rights and the filters on attributes, as one SQL condition.

The condition speaks of the table `documents` under that name. Both legs of a search apply it before they cut their lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import BadRequest
from app.core.records import Principal


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
    path = f'$."{name}"'
    spelled = list(dict.fromkeys(spelling for option in options if option is not None for spelling in _spellings(option)))
    marks = ", ".join("?" * len(spelled))
    found = "json_extract(documents.attributes, ?)"
    parts: list[str] = []
    values: list[str | int | float | None] = []
    if spelled:
        element = f"EXISTS (SELECT 1 FROM json_each(documents.attributes, ?) WHERE value IN ({marks}))"  # noqa: S608 - question marks alone
        parts.append(f"{found} IN ({marks}) OR (json_type(documents.attributes, ?) = 'array' AND {element})")
        values += [path, *spelled, path, path, *spelled]
    if None in options:
        parts.append(f"{found} IS NULL")
        values.append(path)
    return f"({' OR '.join(parts)})", values


def _spellings(option: str | float) -> list[str | int | float]:
    if isinstance(option, bool):
        return [int(option), "true" if option else "false", "True" if option else "False"]
    if isinstance(option, str):
        try:
            number = float(option)
        except ValueError:
            return [option]
        exact = abs(number) < 2**53
        return [option, int(number) if number.is_integer() else number] if exact else [option]
    return [option, str(option)]
