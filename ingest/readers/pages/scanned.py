"""Words that were recognised on a picture, as lines; which pages need that at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from statistics import mean

from ingest.readers.ocr import Word
from ingest.readers.pages.shapes import Line, PageShapes

_NOISE = 30.0
"""A line's mean confidence below which it is no writing: grain, a picture's edges."""
_MOST_BROKEN = 0.3
_FEW_LETTERS = 40
_COVERED = 0.6
_MANY_PATHS = 40


def needs_ocr(page: PageShapes) -> bool:
    """Whether a page's writing is no text, or a text that nobody can read; an empty page needs nothing."""
    text = "".join(segment.text for segment in page.segments)
    letters = sum(not letter.isspace() for letter in text)
    if letters and broken(text) > _MOST_BROKEN:
        return True
    if letters == 0:
        return page.pictures > 0.02 or page.drawn >= _MANY_PATHS
    # A scan on which a program has stamped a number or a name.
    return letters < _FEW_LETTERS and page.pictures >= _COVERED


def broken(text: str) -> float:
    """The share of characters that stand for glyphs of a font, not for letters: the file does not say which."""
    said = [letter for letter in text if not letter.isspace()]
    return sum(letter in "\ufffd\x00" or "\ue000" <= letter <= "\uf8ff" or letter < " " for letter in said) / max(len(said), 1)


def lines(words: Iterable[Word], scale: float = 1.0) -> Iterator[Line]:
    """Lines in their reading order; `scale` is points to a pixel. Their size is 0: how tall letters seem tells no headings."""
    blocks = [list(block) for _, block in groupby(words, key=lambda word: word.line[0])]
    for block in blocks:
        limit = max(word.right for word in block) * scale
        for _, group in groupby(block, key=lambda word: word.line):
            line = list(group)
            text = " ".join(word.text for word in line)
            if mean(word.confidence for word in line) < _NOISE or not any(letter.isalnum() for letter in text):
                continue
            yield Line(
                text,
                min(word.left for word in line) * scale,
                min(word.top for word in line) * scale,
                max(word.right for word in line) * scale,
                max(word.bottom for word in line) * scale,
                0.0,
                False,
                limit,
            )
