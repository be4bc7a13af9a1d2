"""A table with merged cells as rows that stand for themselves: a pure function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.documents import Block
from ingest.readers.office.flow import Item
from ingest.readers.rows import row_text

WIDEST = 2_000
"""Columns. Where a cell stands is a number in the file, and may be any."""

_AMOUNT = re.compile(r"[-+(△▲]?\s*[₩$€¥]?\s*\d[\d,.\s]*(?:%|[a-zA-Z가-힣]{1,2})?\)?|\d{4}[-./년]\s?\d{1,2}(?:[-./월].*)?|[-–]")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Cell:
    """A cell where it begins, counted from 0, with the rows and columns that it covers.

    `inner`: tables inside it, handed on after its row. `named`: the format itself says that it belongs to the header.
    """

    row: int
    column: int
    text: str
    rows: int = 1
    columns: int = 1
    inner: tuple[Block, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class _Line:
    """A row that has a cell of its own, and which cell covers which column of it."""

    row: int
    cells: dict[int, Cell]

    def lone(self, width: int) -> bool:
        """Whether one cell covers the whole width: a title over what follows."""
        return width > 1 and len(self.cells) == width and len({id(cell) for cell in self.cells.values()}) == 1


def cell_content(items: Iterable[Item]) -> tuple[str, tuple[Block, ...]]:
    """A cell's own text on one line, and the rows of tables inside it."""
    words, inner = [], []
    for item in items:
        if isinstance(item, Block) and item.kind == "row":
            inner.append(item)
        else:
            words.append(item.text)
    return " ".join(" ".join(words).split()), tuple(inner)


def table_blocks(cells: Sequence[Cell], page: int | None = None) -> Iterator[Block]:
    """A block for each row below the header, its values named by it; a merged cell is said in each row that it covers."""
    cells = [cell for cell in cells if cell.column < WIDEST]
    width = max((cell.column for cell in cells), default=-1) + 1
    lines = _lines(cells, width)
    begin = next((at for at, line in enumerate(lines) if not line.lone(width)), len(lines))
    body = begin + _header_depth(lines[begin:], width)
    header = _names(lines[begin:body], width)
    for at, line in enumerate(lines):
        if begin <= at < body < len(lines):
            text = ""
        elif line.lone(width):
            text = line.cells[0].text
        else:
            values = [line.cells[at].text if at in line.cells and line.cells[at].column == at else "" for at in range(width)]
            text = row_text(header if at >= body else [""] * width, values, " | ")
        if text.strip():
            yield Block(text, page=page, kind="row")
        for column, cell in line.cells.items():
            if (cell.row, cell.column) == (line.row, column):
                yield from cell.inner


def is_number(text: str) -> bool:
    """Whether a cell holds an amount or a date, or stands for one that is missing."""
    return _AMOUNT.fullmatch(text.strip()) is not None


def _lines(cells: Sequence[Cell], width: int) -> list[_Line]:
    rows: dict[int, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(cell)
    lines: list[_Line] = []
    hanging: dict[int, Cell] = {}
    for row in sorted(rows):
        hanging = {column: cell for column, cell in hanging.items() if cell.row + cell.rows > row}
        for cell in rows[row]:
            hanging |= dict.fromkeys(range(cell.column, min(cell.column + max(cell.columns, 1), width)), cell)
        lines.append(_Line(row, dict(sorted(hanging.items()))))
    return lines


def _header_depth(lines: list[_Line], width: int) -> int:
    """How many rows name the columns: those that the format marks, else the first where only it has no number in some column of numbers."""
    if len(lines) < 2 or width < 2:
        return 0
    marked = next((at for at, line in enumerate(lines) if not any(cell.named for cell in line.cells.values())), len(lines))
    if marked:
        return min(marked, len(lines) - 1)
    first = lines[0].cells
    if len(first) < width or len({cell.text for cell in first.values()}) < 2:
        return 0
    if not all(cell.text and len(cell.text) <= _LONGEST_NAME and not is_number(cell.text) for cell in first.values()):
        return 0
    depth = max(min(cell.rows, len(lines) - 1) for cell in first.values())
    below = lines[depth:]
    amounts = (sum(column in line.cells and is_number(line.cells[column].text) for line in below) for column in range(width))
    return depth if any(count * 2 > len(below) for count in amounts) else 0


def _names(header: list[_Line], width: int) -> list[str]:
    """A column's name: the texts above it, from the top; a merged one once."""
    stacks = [dict.fromkeys(line.cells[column].text for line in header if column in line.cells) for column in range(width)]
    return [" ".join(text for text in stack if text) for stack in stacks]
