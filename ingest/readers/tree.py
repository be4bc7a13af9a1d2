"""Nested values as text: each value on a line with the path that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.core.errors import ItemError
from ingest.documents import Block, tidy

MOST_VALUES = 200_000
DEEPEST = 40
_STEP = " > "


def blocks(value: Any) -> Iterator[Block]:
    """An object's own values as one block, each nested part as blocks under its name. ItemError: too many values to be read by anyone."""
    left = [MOST_VALUES]
    yield from _blocks(value, (), left)


def text(values: Mapping[str, Any]) -> str:
    """All values on lines of their own, nested ones by their paths."""
    left = [MOST_VALUES]
    return "\n".join(f"{path}: {said}" if path else said for path, said in _lines(values, "", left, 0))


def _blocks(value: Any, path: tuple[str, ...], left: list[int]) -> Iterator[Block]:
    if not isinstance(value, Mapping) or len(path) >= DEEPEST:
        yield from _items(value, path, left)
        return
    own = {name: inner for name, inner in value.items() if not isinstance(inner, (Mapping, list)) or _flat(inner)}
    if said := "\n".join(f"{name}: {line}" for name, line in _lines(own, "", left, len(path))):
        yield Block(tidy(said), path, kind="row")
    for name, inner in value.items():
        if name not in own:
            yield from _blocks(inner, (*path, tidy(" ".join(str(name).split()))), left)


def _items(value: Any, path: tuple[str, ...], left: list[int]) -> Iterator[Block]:
    for item in value if isinstance(value, list) else [value]:
        if said := "\n".join(f"{name}: {line}" if name else line for name, line in _lines(item, "", left, len(path))):
            yield Block(tidy(said), path, kind="row")


def _flat(value: Any) -> bool:
    """A list of plain values is said on one line."""
    return isinstance(value, list) and not any(isinstance(item, (Mapping, list)) for item in value)


def _lines(value: Any, path: str, left: list[int], depth: int) -> Iterator[tuple[str, str]]:
    left[0] -= 1
    if left[0] < 0:
        raise ItemError(f"holds more than {MOST_VALUES} values in one document.", hint="Export it as JSON lines, a record a line.")
    if isinstance(value, Mapping) and depth < DEEPEST:
        for name, inner in value.items():
            yield from _lines(inner, f"{path}{_STEP}{name}" if path else str(name), left, depth + 1)
    elif isinstance(value, list) and not _flat(value) and depth < DEEPEST:
        for number, inner in enumerate(value, 1):
            yield from _lines(inner, f"{path}{_STEP}{number}" if path else str(number), left, depth + 1)
    elif said := _plain(value, left):
        yield path, said


def _plain(value: Any, left: list[int]) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if _flat(value):
        left[0] -= len(value)
        return ", ".join(said for item in value if (said := _plain(item, left)))
    return msgspec.json.encode(value).decode()
