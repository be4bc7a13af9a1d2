"""A written page through OCR: in Korean and English at once, and where that took Korean words for English ones, in Korean once more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ingest.readers.ocr import LANGUAGES, PAGE, Tesseract, Word

_HANGUL = re.compile("[가-힣]")
_LATIN = re.compile("[A-Za-z]")
_KOREAN_WORD = re.compile(r"[^\w]*[가-힣]+[^\w]*")
_CERTAIN = 85.0


def page_words(tesseract: Tesseract, picture: bytes) -> list[Word]:
    """The words of a page in their reading order. ItemError as the program's."""
    words = whole(tesseract.words(picture, PAGE))
    return mended(words, whole(tesseract.words(picture, PAGE, LANGUAGES[:1]))) if is_korean_with_latin(words) else words


def whole(words: Sequence[Word]) -> list[Word]:
    """Words that were recognised in pieces as one each."""
    found: list[Word] = []
    for word in words:
        if word.joined and found and found[-1].line == word.line:
            last = found.pop()
            sure = (last.confidence * len(last.text) + word.confidence * len(word.text)) / len(last.text + word.text)
            edges = min(last.left, word.left), min(last.top, word.top), max(last.right, word.right), max(last.bottom, word.bottom)
            found.append(Word(last.text + word.text, sure, *edges, word.line, last.joined))
        else:
            found.append(word)
    return found


def is_korean_with_latin(words: Sequence[Word]) -> bool:
    """Whether most of a page is Korean, and some of it is not: `불을` is then easily read as `SS`, with great certainty."""
    hangul = sum(len(_HANGUL.findall(word.text)) for word in words)
    latin = sum(len(_LATIN.findall(word.text)) for word in words)
    return 0 < latin < 2 * hangul


def mended(words: Sequence[Word], korean: Sequence[Word]) -> list[Word]:
    """The words, and for those with Latin letters what a Korean reading says there, where that is a Korean word for certain."""
    known = [word for word in words if not _LATIN.search(word.text)]
    sure = [word for word in korean if word.confidence >= _CERTAIN and _KOREAN_WORD.fullmatch(word.text)]
    sure = [word for word in sure if not any(_touch(word, other) for other in known)]
    return [_better(word, sure) if _LATIN.search(word.text) else word for word in words]


def _better(word: Word, korean: Sequence[Word]) -> Word:
    found = next((other for other in korean if _same_place(word, other)), None)
    return word if found is None else replace(word, text=found.text, confidence=found.confidence)


def _touch(one: Word, other: Word) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def _same_place(one: Word, other: Word) -> bool:
    """Whether the two cover each other by more than half."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    narrow, wide = sorted((one.right - one.left, other.right - other.left))
    return across > narrow * 0.5 and across > wide * 0.5 and down > 0
