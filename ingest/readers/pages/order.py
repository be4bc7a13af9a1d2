"""The reading order of a page: columns one after the other, lines from the top, rows of words that stand in columns as a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ingest.readers.pages.joining import cell_text, rows_of
from ingest.readers.pages.shapes import Line, Segment, Table

_PROSE = 18
"""Widths of a Latin letter that half of a column's lines have at least: less is a list of labels, not running text."""
_FEWEST_LINES = 4
_MOST = 3000
"""Segments of a page above which it is read line by line: a drawing full of numbers has no columns."""
_ALIGNED = 3.0

Item = Line | Table


@dataclass(frozen=True)
class _Box:
    """A segment or a table, and where it is."""

    item: Segment | Table
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def in_order(segments: Sequence[Segment], tables: Sequence[Table]) -> list[Item]:
    """All that is on a page as lines and tables, in the order in which a person reads it."""
    placed: list[Segment | Table] = [*segments, *tables]
    boxes = [_Box(item, item.left, item.top, item.right, item.bottom) for item in placed]
    boxes.sort(key=lambda box: (box.top, box.left))
    return list(_flow(boxes, 0))


def _flow(boxes: list[_Box], depth: int) -> Iterator[Item]:
    gutter = _gutter(boxes) if depth < 4 and 2 * _FEWEST_LINES <= len(boxes) <= _MOST else None
    if gutter is None:
        yield from _lines(boxes)
        return
    left, crossing, right = gutter
    # What spans both columns (a title, a wide table) parts the page into bands; in each the left column comes first.
    spanning: list[_Box] = []
    top = float("-inf")
    for box in sorted(crossing, key=lambda box: box.middle):
        if any(top <= other.middle < box.middle for other in (*left, *right)):
            yield from _lines(spanning)
            yield from _columns(left, right, top, box.middle, depth)
            spanning = []
        spanning.append(box)
        top = box.middle
    yield from _lines(spanning)
    yield from _columns(left, right, top, float("inf"), depth)


def _columns(left: list[_Box], right: list[_Box], top: float, bottom: float, depth: int) -> Iterator[Item]:
    yield from _flow([box for box in left if top <= box.middle < bottom], depth + 1)
    yield from _flow([box for box in right if top <= box.middle < bottom], depth + 1)


def _gutter(boxes: list[_Box]) -> tuple[list[_Box], list[_Box], list[_Box]] | None:
    """(left, crossing, right) of the emptiest gap between two columns of running text; None where there are not two."""
    size = median(_tall(box.item) if isinstance(box.item, Segment) else 10.0 for box in boxes)
    edges: list[float] = []
    for start in sorted(box.left for box in boxes):
        if not edges or start - edges[-1] > _ALIGNED:
            edges.append(start)
    best: tuple[list[_Box], list[_Box], list[_Box]] | None = None
    for edge in edges:
        right = [box for box in boxes if box.left >= edge - 1]
        if sum(box.left <= edge + _ALIGNED for box in right) < _FEWEST_LINES:
            continue
        left = [box for box in boxes if box.right <= edge - size * 0.7]
        crossing = [box for box in boxes if box.left < edge - 1 and box.right > edge - size * 0.7]
        if len(crossing) * 3 > len(boxes) or (best is not None and len(crossing) >= len(best[1])):
            continue
        if _prose(left) and _prose(right) and _beside(left, right, size):
            best = left, crossing, right
    return best


def _prose(boxes: list[_Box]) -> bool:
    widths = [_width(box.item.text) for box in boxes if isinstance(box.item, Segment)]
    return len(widths) >= _FEWEST_LINES and median(widths) >= _PROSE


def _beside(left: list[_Box], right: list[_Box], size: float) -> bool:
    top = max(min(box.top for box in left), min(box.top for box in right))
    bottom = min(max(box.bottom for box in left), max(box.bottom for box in right))
    return bottom - top > _FEWEST_LINES * size


def _tall(segment: Segment) -> float:
    return segment.size or segment.bottom - segment.top


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _lines(boxes: list[_Box]) -> Iterator[Item]:
    """One column from the top. Rows of three and more words that stand below each other are a table without lines."""
    limit = max((box.right for box in boxes), default=0.0)
    rows: list[list[Segment]] = []
    segments = [box.item for box in boxes if isinstance(box.item, Segment)]
    tables = [box.item for box in boxes if isinstance(box.item, Table)]
    for row in rows_of(segments):
        while tables and tables[0].top < row[0].middle:
            yield from _tabular(rows, limit)
            rows = []
            yield tables.pop(0)
        rows.append(row)
    yield from _tabular(rows, limit)
    yield from tables


def _tabular(rows: list[list[Segment]], limit: float) -> Iterator[Item]:
    at = 0
    while at < len(rows):
        end = at + 1
        slots = [(segment.left, segment.right) for segment in rows[at]]
        while end < len(rows) and len(slots) >= 3 and (wider := _fitted(slots, rows[end])):
            slots, end = wider, end + 1
        if end - at >= 3:
            some = rows[at:end]
            yield Table(
                tuple(tuple(cell_text([segment]) for segment in row) for row in some),
                slots[0][0],
                some[0][0].top,
                max(right for _, right in slots),
                some[-1][0].bottom,
                tuple(round(left, 1) for left, _ in slots),
                some[0][0].size,
            )
            at = end
        else:
            yield _line(rows[at], limit)
            at += 1


def _fitted(slots: list[tuple[float, float]], row: list[Segment]) -> list[tuple[float, float]] | None:
    """The columns with this row in them; None where it stands otherwise: another count, or across a gap between columns."""
    if len(row) != len(slots):
        return None
    wider = [(min(left, segment.left), max(right, segment.right)) for (left, right), segment in zip(slots, row, strict=True)]
    apart = all(one[1] < other[0] for one, other in pairwise(wider))
    meet = all(segment.left <= right and segment.right >= left for (left, right), segment in zip(slots, row, strict=True))
    return wider if apart and meet else None


def _line(row: list[Segment], limit: float) -> Line:
    main = max(row, key=lambda segment: len(segment.text))
    return Line(
        " ".join(segment.text for segment in row),
        row[0].left,
        min(segment.top for segment in row),
        max(segment.right for segment in row),
        max(segment.bottom for segment in row),
        main.size,
        all(segment.bold for segment in row),
        limit,
    )
