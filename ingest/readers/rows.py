"""A row of a table as text that stands for itself: each value with its column's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

TITLES = ("title", "name", "subject", "제목", "이름", "명칭", "상품명", "제품명")
"""Columns that name their row, the first one that is there."""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")


def row_text(header: Sequence[str], row: Sequence[str], separator: str = "\n") -> str:
    """`column: value` for each value that is there; a lone column gives its value alone."""
    pairs = [(header[at] if at < len(header) else "", value.strip()) for at, value in enumerate(row)]
    filled = [(name.strip(), value) for name, value in pairs if value]
    if len(header) == 1:
        return separator.join(value for _, value in filled)
    return separator.join(f"{name}: {value}" if name else value for name, value in filled)


def plain_value(value: str) -> str | int | float:
    """A number where the text is one in its plain form (a post code 01234 is none)."""
    if not _NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)
