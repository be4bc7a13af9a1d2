"""What a paper repeats on its pages: headers and footers, which are no part of the text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ingest.readers.pages.order import Item
from ingest.readers.pages.shapes import Line

_FEWEST_PAGES = 3
_SHARE = 0.15
"""Of the pages: a book has one header for its left pages, and another for the right ones of each chapter."""
_EDGE = 0.12
"""Of the page's height, at its top and its bottom."""
_DIGITS = re.compile(r"\d+")


def without_running(pages: Sequence[tuple[float, list[Item]]]) -> list[list[Item]]:
    """The pages (height, items) without the lines that stand at the same place of many of them, page numbers apart."""
    counts = Counter(mark for height, items in pages for mark in {_mark(item, height) for item in items} if mark is not None)
    often = {mark for mark, count in counts.items() if count >= max(_FEWEST_PAGES, _SHARE * len(pages))}
    kept = [[item for item in items if _mark(item, height) not in often] for height, items in pages]
    return kept if any(kept) else [items for _, items in pages]


def _mark(item: Item, height: float) -> tuple[str, bool, int] | None:
    if not isinstance(item, Line):
        return None
    top, bottom = item.bottom < height * _EDGE, item.top > height * (1 - _EDGE)
    if not top and not bottom:
        return None
    place = item.top if top else height - item.bottom
    return _DIGITS.sub("0", "".join(item.text.split())), top, round(place / 8)
