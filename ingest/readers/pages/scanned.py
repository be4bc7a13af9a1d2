"""Words that were recognised on a picture, as lines; which pages need that at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from statistics import mean, median

from ingest.readers.ocr import Word
from ingest.readers.pages.order import Item, in_order
from ingest.readers.pages.shapes import PageShapes, Segment

_NOISE = 30.0
"""A line's mean confidence below which it is no writing: grain, a picture's edges."""
_MOST_BROKEN = 0.3
_GAP = 2.5  # of a line's height: what is wider parts columns
_FEW_LETTERS = 30
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


def lines(words: Iterable[Word], scale: float = 1.0) -> list[Item]:
    """Lines in their reading order; `scale` is points to a pixel. Their size is 0: how tall letters seem tells no headings."""
    return in_order([segment for _, line in groupby(words, key=lambda word: word.line) for segment in _segments(list(line), scale)], [])


def _segments(line: list[Word], scale: float) -> Iterator[Segment]:
    if mean(word.confidence for word in line) < _NOISE or not any(letter.isalnum() for word in line for letter in word.text):
        return
    tall = median(word.bottom - word.top for word in line)
    part = [line[0]]
    for before, word in pairwise(line):
        if word.left - before.right > tall * _GAP:
            yield _segment(part, scale)
            part = []
        part.append(word)
    yield _segment(part, scale)


def _segment(words: list[Word], scale: float) -> Segment:
    text = words[0].text + "".join(word.text if word.joined else f" {word.text}" for word in words[1:])
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    return Segment(text, words[0].left * scale, top * scale, max(word.right for word in words) * scale, bottom * scale, 0.0)
