"""Lines put together again: what stood on two lines because the paper was narrow is one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ingest.readers.pages.shapes import Segment

SOFT_HYPHEN = "\ufffe"
_NO_SPACES = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef、。]")


def joined(lines: Iterable[str]) -> str:
    """One paragraph: a word parted at the line's end is whole again, Chinese and Japanese lines meet without a space."""
    text = ""
    for line in lines:
        said = " ".join(line.split())
        if not said:
            continue
        if text.endswith((SOFT_HYPHEN, "\u00ad")):
            text = text[:-1] + said
        elif text and _NO_SPACES.match(text[-1]) and _NO_SPACES.match(said[0]):
            text += said
        else:
            text = f"{text} {said}" if text else said
    return text.replace(SOFT_HYPHEN, "").replace("\u00ad", "")


def rows_of(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments that stand on one line, from the top; each line from its left."""
    rows: list[list[Segment]] = []
    bottom = middle = 0.0
    for segment in sorted(segments, key=lambda segment: (segment.middle, segment.left)):
        tall = min(segment.bottom - segment.top, bottom and rows[-1][0].bottom - rows[-1][0].top)
        if rows and segment.middle - middle < max(tall, 1) * 0.5:
            rows[-1].append(segment)
        else:
            rows.append([segment])
            bottom, middle = segment.bottom, segment.middle
    return [sorted(row, key=lambda segment: segment.left) for row in rows]


def cell_text(segments: Iterable[Segment]) -> str:
    """The words of a table's cell, in reading order."""
    return joined(" ".join(segment.text for segment in row) for row in rows_of(list(segments)))
