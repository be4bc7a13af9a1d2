"""What one row says: its id, its text, its attributes, who may see it. All values come as PostgreSQL writes them."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from ingest.documents import Block, Document, tidy
from ingest.postgres.plan import ColumnInfo, Plan
from ingest.readers.plain import paragraphs

OWNER_ONLY = "ondol:owner-only"
"""The label of a row whose access column is empty: no group is called so, so the owner alone sees it."""

_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "/": "%2F", "#": "%23"})


def row_key(values: Sequence[str]) -> str:
    """The last part of a row's id. Marks that have a meaning in ids are escaped, so that no two keys look alike."""
    return ",".join(value.translate(_ESCAPES) for value in values)


def key_values(key: str) -> tuple[str, ...]:
    """The values that `row_key` was made of."""
    return tuple(unquote(part) for part in key.split(","))


def row_document(
    id: str, row_hash: str, values: Mapping[str, str | None], plan: Plan, labels: Sequence[str | None] = ()
) -> Document | None:
    """A row's document; None where it says nothing beyond its key. Arrays come as JSON, `labels` in the order of the plan's parents."""
    columns = plan.table.by_name
    shown = {name: _shown(columns[name], value) for name, value in values.items() if value is not None}
    said = {name: text for name, value in shown.items() if (text := tidy(value).strip())}
    if not any(name in said for name in (*plan.text, *plan.facts) if name not in plan.key):
        return None
    named = _parents(plan, labels)
    if len(plan.text) == 1:
        blocks = [Block(block.text) for block in paragraphs(said.get(plan.text[0], ""))]
    else:
        blocks = [Block(f"{name}: {said[name]}", kind="row") for name in plan.text if name in said]
    facts = [*(f"{name}: {said[name]}" for name in plan.facts if name in said), *(f"{name}: {label}" for name, label in named.items())]
    if facts:
        blocks.append(Block("\n".join(facts), kind="row"))
    kept = {name: _attribute(columns[name], values[name] or "", said[name]) for name in (*plan.facts, *plan.attributes) if name in said}
    key = row_key([values[name] or "" for name in plan.key])
    return Document(
        id,
        _filled(plan.title, said).strip() or f"{plan.table.name} #{key}",
        tuple(blocks),
        url=_filled(plan.url, said, partial(quote, safe="")).strip(),
        attributes={**named, **kept},
        version=plan.signature + row_hash,
        access=_access(columns[plan.access], values.get(plan.access)) if plan.access else None,
    )


def _parents(plan: Plan, labels: Sequence[str | None]) -> dict[str, str]:
    """What the row's parents are called. A name that a column of the row has already is told by the parent's table."""
    taken = plan.table.by_name
    named: dict[str, str] = {}
    for parent, label in zip(plan.parents, labels, strict=False):
        text = tidy(label or "").strip()
        called = next((name for name in (parent.called, parent.name) if name not in taken and name not in named), "")
        if text:
            named[called or f"{parent.column} ({parent.name})"] = text
    return named


def _filled(template: str, said: Mapping[str, str], shape: Callable[[str], str] = str) -> str:
    return "".join(literal + shape(said.get(name or "", "")) for literal, name, _, _ in string.Formatter().parse(template))


def _shown(column: ColumnInfo, value: str) -> str:
    return ", ".join(_elements(value)) if column.category == "A" else value


def _elements(value: str) -> list[str]:
    """An array's elements, of all its dimensions in order; those without a value are left out."""
    found: list[str] = []

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for inner in part:
                walk(inner)
        elif part is not None:
            found.append(str(part))

    walk(msgspec.json.decode(value))
    return found


def _attribute(column: ColumnInfo, value: str, said: str) -> Any:
    if column.category == "A":
        return [_value(tidy(element).strip(), column.element) for element in _elements(value)]
    return _value(said, column.category)


def _access(column: ColumnInfo, value: str | None) -> tuple[str, ...]:
    parts = _elements(value) if value and column.category == "A" else (value or "").split(",")
    return tuple(dict.fromkeys(label for part in parts if (label := tidy(part).strip()))) or (OWNER_ONLY,)


def _value(text: str, category: str) -> str | int | float | bool:
    if category == "B":
        return text in ("true", "t")
    if category == "N":
        try:
            number = float(text)
        except ValueError:  # money, oid aliases
            return text
        if not math.isfinite(number):
            return text
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else number
    return text
