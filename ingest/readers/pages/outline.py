"""Lines and tables as blocks: paragraphs, lists, headings where the font tells them, rows that name their columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from ingest.documents import Block, tidy
from ingest.readers.headings import Headings
from ingest.readers.pages.joining import joined
from ingest.readers.pages.order import Item
from ingest.readers.pages.shapes import Line, Table
from ingest.readers.rows import row_text

_SENTENCE_END = re.compile(r"[.!?。:;…]['\"”’)\]]?$|[다요음함됨]\.$")
_BULLET = re.compile(
    r"(?:[•·●○◦▪■□▶◆◇※☞❍▷\-–—*]|\d{1,3}[.)]|[가-하][.)]|\(\d{1,2}\)|\([가-하]\)|[①-⑳㉮-㉻]|[a-z]\)|제\s?\d+\s?[조장절항])\s*(?=\S)"
)
_LARGER = 1.12
_LONGEST_HEADING = 100
_MOST_HEADINGS = 0.3
"""Of a document's letters: where more are large or bold, that is its style (slides, a poster) and tells no sections."""
_MOST_LEVELS = 4
_HEADER_CELL = 60
_NUMBER = re.compile(r"[\d\s.,:%()+\-–₩$€/]*")


class Outline:
    """The fonts of a whole document: which lines are headings, and of what level."""

    def __init__(self, pages: Sequence[Sequence[Item]]) -> None:
        # A recognised line (size 0) tells nothing of its font.
        lines = [item for items in pages for item in items if isinstance(item, Line) and item.size]
        letters: Counter[float] = Counter()
        for line in lines:
            letters[round(line.size * 2) / 2] += len(line.text)
        for item in (item for items in pages for item in items if isinstance(item, Table)):
            letters[round(item.size * 2) / 2] += sum(len(cell) for row in item.rows for cell in row)
        self._first = next((item for items in pages for item in items), None)
        self._body = letters.most_common(1)[0][0] if letters else 0.0
        bold = sum(len(line.text) for line in lines if line.bold)
        self._bold_tells = bold * 3 < sum(letters.values())
        sizes: list[float] = []
        marked = [line for line in lines if self._stands_out(line)]
        if sum(len(line.text) for line in marked) <= _MOST_HEADINGS * sum(letters.values()):
            for size in sorted({line.size for line in marked}, reverse=True):
                if not sizes or size < sizes[-1] * 0.95:
                    sizes.append(size)
        self._sizes = sizes

    def level(self, line: Line) -> int:
        """1 for the largest headings, and for one with which the document begins; 0 for running text."""
        if not self._sizes or not line.size or not self._stands_out(line):
            return 0
        if line is self._first:
            return 1
        return min(next(at for at, size in enumerate(self._sizes, 1) if line.size >= size * 0.95), _MOST_LEVELS)

    def _stands_out(self, line: Line) -> bool:
        said = line.text.strip()
        if not 1 < len(said) <= _LONGEST_HEADING or said.endswith((",", ";")) or _NUMBER.fullmatch(said):
            return False
        if line.size >= self._body * _LARGER:
            return True
        return self._bold_tells and line.bold and line.size >= self._body * 0.95 and not _SENTENCE_END.search(said)


def blocks(pages: Sequence[tuple[int, Sequence[Item]]], headings: Headings) -> Iterator[Block]:
    """The blocks of all pages, given with their numbers."""
    outline = Outline([items for _, items in pages])
    header: _Header | None = None
    for number, items in pages:
        for at, (level, group) in enumerate(_groups(items, outline)):
            if isinstance(group, Table):
                header = _Header.of(group, header if at == 0 else None)
                yield from headings.place(iter(header.rows(group, number)))
                continue
            header = None
            text = tidy(joined(line.text for line in group))
            if level:
                yield from headings.enter(level, text, page=number)
            else:
                kind = "list" if _BULLET.match(text) else "text"
                yield from headings.place(iter([Block(text, page=number, kind="list" if kind == "list" else "text")]))
    yield from headings.end()


def _groups(items: Sequence[Item], outline: Outline) -> Iterator[tuple[int, Table | list[Line]]]:
    """Tables one by one; lines that belong together, with the level of their heading."""
    lines = [item for item in items if isinstance(item, Line)]
    steps = [after.top - line.top for line, after in pairwise(lines) if 0 < after.top - line.top < 4 * _tall(line)]
    step = median(steps) if steps else 0.0
    waiting: list[Line] = []
    level = 0
    for item in items:
        now = outline.level(item) if isinstance(item, Line) else 0
        if waiting and (isinstance(item, Table) or now != level or _parted(waiting, item, step)):
            yield level, waiting
            waiting = []
        if isinstance(item, Table):
            yield 0, item
        else:
            waiting.append(item)
            level = now
    if waiting:
        yield level, waiting


def _parted(waiting: list[Line], line: Line, step: float) -> bool:
    """Whether a paragraph ends before this line."""
    last = waiting[-1]
    tall = max(_tall(last), _tall(line))
    if line.top < last.top - tall:  # the next column
        return bool(_SENTENCE_END.search(last.text.strip())) or last.right < last.limit - (last.limit - last.left) * 0.2
    if line.top - last.top > max(step * 1.35, tall * 1.6) or abs(line.size - last.size) > tall * 0.1:
        return True
    if _BULLET.match(line.text.strip()):
        return True
    indented = line.left > last.left + tall * 0.8 and len(waiting) > 1
    short = last.right < last.limit - (last.limit - last.left) * 0.2
    return short and (bool(_SENTENCE_END.search(last.text.strip())) or indented)


def _unnamed(row: tuple[str, ...]) -> str:
    between = ": " if len(row) == 2 and len(row[0]) <= _HEADER_CELL else " | "
    return between.join(cell for cell in row if cell)


def _tall(line: Line) -> float:
    return line.size or max(line.bottom - line.top, 1.0)


class _Header:
    """The names of a table's columns; a table that goes on over the page keeps them."""

    def __init__(self, names: tuple[str, ...], columns: tuple[float, ...], *, own: bool) -> None:
        self.names, self.columns, self._own = names, columns, own

    @classmethod
    def of(cls, table: Table, before: _Header | None) -> _Header:
        first = table.rows[0]
        if before is not None and before._goes_on_in(table):
            return cls(before.names, before.columns, own=first == before.names)
        words = all(cell and len(cell) <= _HEADER_CELL and not _NUMBER.fullmatch(cell) for cell in first[1:])
        # Two columns are a list of prices or a form (`성명 | 김온돌`); only numbers below tell the first from the second.
        form = len(first) == 2 and not any(_NUMBER.fullmatch(row[1]) for row in table.rows[1:])
        names = words and not form and len(table.rows) > 1
        return cls(first if names else (), table.columns, own=names)

    def rows(self, table: Table, page: int) -> list[Block]:
        """The table's rows under this header."""
        rows = table.rows[1:] if self._own else table.rows
        said = (row_text(self.names, row, " | ") if self.names else _unnamed(row) for row in rows)
        return [Block(tidy(text), page=page, kind="row") for text in said]

    def _goes_on_in(self, table: Table) -> bool:
        return len(self.columns) == len(table.columns) and all(
            abs(one - other) < 4 for one, other in zip(self.columns, table.columns, strict=True)
        )
