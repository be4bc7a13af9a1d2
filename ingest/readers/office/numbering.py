"""Numbers that a document does not spell out: "제3조", "2.1.", "나)" are counted by the program that shows it, so here too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SERIES: Mapping[str, str] = {
    "syllable": "가나다라마바사아자차카타파하",
    "jamo": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "circled": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "circled syllable": "㉮㉯㉰㉱㉲㉳㉴㉵㉶㉷㉸㉹㉺㉻",
    "circled jamo": "㉠㉡㉢㉣㉤㉥㉦㉧㉨㉩㉪㉫㉬㉭",
    "circled upper": "ⒶⒷⒸⒹⒺⒻⒼⒽⒾⒿⓀⓁⓂⓃⓄⓅⓆⓇⓈⓉⓊⓋⓌⓍⓎⓏ",
    "circled lower": "ⓐⓑⓒⓓⓔⓕⓖⓗⓘⓙⓚⓛⓜⓝⓞⓟⓠⓡⓢⓣⓤⓥⓦⓧⓨⓩ",
}
_DIGITS = {"phonetic": "영일이삼사오육칠팔구", "ideograph": "〇一二三四五六七八九"}
_TENS = {"phonetic": "십", "ideograph": "十"}
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_PLACE = re.compile(r"[%^]([1-9])")


def written(number: int, style: str) -> str:
    """A number from 1 in one of the styles; in digits where the style does not go that far."""
    if style in _SERIES and 1 <= number <= len(_SERIES[style]):
        return _SERIES[style][number - 1]
    if style in ("roman", "Roman") and 1 <= number < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (number // value)
            number %= value
        return text.upper() if style == "Roman" else text
    if style in _DIGITS and 1 <= number <= 99:
        tens, ones = divmod(number, 10)
        head = (_DIGITS[style][tens] if tens > 1 else "") + _TENS[style] if tens else ""
        return head + (_DIGITS[style][ones] if ones else "")
    return str(number)


@dataclass(frozen=True)
class Level:
    """How one level is numbered: `text` has `%1` or `^1` for the number of level 1. A style of "" has no number (a bullet)."""

    text: str
    style: str
    start: int = 1


class Numbering:
    """The running numbers of one list, whose levels count from 0."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = levels
        self._counts: list[int | None] = [None] * len(levels)

    def next(self, level: int) -> str:
        """The label of the next paragraph on that level; "" for a bullet or a level that is not defined."""
        if not 0 <= level < len(self._levels):
            return ""
        found = self._levels[level]
        count = self._counts[level]
        self._counts[level] = found.start if count is None else count + 1
        self._counts[level + 1 :] = [None] * (len(self._levels) - level - 1)
        return _PLACE.sub(self._place, found.text).strip() if found.style else ""

    def _place(self, found: re.Match[str]) -> str:
        at = int(found.group(1)) - 1
        if at >= len(self._levels):
            return ""
        count = self._counts[at]
        return written(self._levels[at].start if count is None else count, self._levels[at].style or "decimal")
