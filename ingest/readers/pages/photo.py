"""Words on a photo: several attempts at one picture become one reading."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.readers.ocr import Word
from ingest.readers.pages.order import Item, in_order
from ingest.readers.pages.shapes import Segment

_SURE = 60.0
_HANGUL = re.compile("[가-힣]")
_CERTAIN = 85.0
_CLEAR, _LONG = 90.0, 5
_FEWEST = 3
_ENOUGH_LETTERS = 40
_PAGE_SURE = 65.0
_FEW_LETTERS = 8


def is_page(words: Sequence[Word]) -> bool:
    """Whether this reading is one of a written page: enough letters, and most of them sure; or a few that are certain."""
    letters = sum(_letters(word) for word in words)
    sure = sum(_letters(word) * word.confidence for word in words) / max(letters, 1)
    return (letters >= _ENOUGH_LETTERS and sure >= _PAGE_SURE) or (letters >= _FEW_LETTERS and sure >= _CERTAIN)


def merged(readings: Sequence[Sequence[Word]]) -> list[Word]:
    """The reading with most sure letters, and what another one is certain of where it has nothing.

    Of leaves and clouds each reading makes other words: one counts where a second reading has it at the same place, or is long and certain.
    """
    sure = [[word for word in reading if word.confidence >= _SURE and _weight(word)] for reading in readings]
    trusted = [
        [word for word in words if _clear(word) or any(_says(word, other) for at, other in enumerate(readings) if at != mine)]
        for mine, words in enumerate(sure)
    ]
    trusted.sort(key=_worth, reverse=True)
    found = list(trusted[0]) if trusted else []
    for words in trusted[1:]:
        for word in words:
            if word.confidence >= _CERTAIN and _weight(word) > 1 and not any(_overlap(word, other) for other in found):
                found.append(word)
    return found if any(_weight(word) >= _FEWEST for word in found) else []


def placed(words: Sequence[Word]) -> list[Item]:
    """The words as lines, by their places alone."""
    return in_order([Segment(word.text, word.left, word.top, word.right, word.bottom, 0.0) for word in words], [])


def scaled(words: Sequence[Word], scale: float) -> list[Word]:
    """The same words in another picture's pixels."""
    return [
        Word(word.text, word.confidence, word.left * scale, word.top * scale, word.right * scale, word.bottom * scale, word.line)
        for word in words
    ]


def _worth(words: Sequence[Word]) -> float:
    return sum(_weight(word) * (word.confidence - _SURE / 2) for word in words)


def _weight(word: Word) -> int:
    """Its letters; a Hangul syllable counts as two, which it is about."""
    return _letters(word) + len(_HANGUL.findall(word.text))


def _letters(word: Word) -> int:
    return sum(letter.isalnum() for letter in word.text)


def _clear(word: Word) -> bool:
    return word.confidence >= _CLEAR and _weight(word) >= _LONG


def _says(word: Word, reading: Sequence[Word]) -> bool:
    return any(other.text.casefold() == word.text.casefold() and _overlap(word, other) for other in reading)


def _overlap(one: Word, other: Word) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom
