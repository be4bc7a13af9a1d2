"""What stands on a page, as values: pieces of text and ruling lines. Points, from the upper left corner; `y` grows downwards."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from itertools import pairwise


@dataclass(frozen=True)
class Segment:
    """Letters on one line without a wide gap between them.

    `starts` is each letter's left edge (empty for text that does not run from left to right): where a ruling line may cut it.
    `size` is the font's, in points.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool = False
    starts: tuple[float, ...] = ()

    @property
    def middle(self) -> float:
        """Half way down."""
        return (self.top + self.bottom) / 2

    def cut(self, edges: list[float]) -> list[Segment]:
        """The parts of it between vertical edges, which need not touch it."""
        if not self.starts or not any(self.left < edge < self.right for edge in edges):
            return [self]
        places = [
            0,
            *(bisect.bisect_left(self.starts, edge - 1) for edge in sorted(edges) if self.left < edge < self.right),
            len(self.text),
        ]
        parts = []
        for begin, end in pairwise(places):
            text = self.text[begin:end]
            if text.strip():
                begin += len(text) - len(text.lstrip())
                right = self.starts[end] if end < len(self.starts) else self.right
                parts.append(replace(self, text=text.strip(), left=self.starts[begin], right=right, starts=()))
        return parts


@dataclass(frozen=True)
class Rule:
    """A straight line that lies or stands: `at` is where it is across, `begin` to `end` where it runs."""

    at: float
    begin: float
    end: float


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first one perhaps their header. `columns` are the left edges, `size` is the font's."""

    rows: tuple[tuple[str, ...], ...]
    left: float
    top: float
    right: float
    bottom: float
    columns: tuple[float, ...]
    size: float


@dataclass(frozen=True)
class Line:
    """A line of running text in reading order; `limit` is how far right its column goes."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool
    limit: float


@dataclass(frozen=True)
class PageShapes:
    """All of one page. `pictures` is the share of it that pictures cover, `drawn` how many paths are drawn on it."""

    width: float
    height: float
    segments: tuple[Segment, ...] = ()
    lying: tuple[Rule, ...] = ()
    standing: tuple[Rule, ...] = ()
    pictures: float = 0.0
    drawn: int = 0
