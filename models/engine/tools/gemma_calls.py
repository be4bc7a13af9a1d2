"""Gemma's calls: `call:NAME{key:<escape>text<escape>,count:2}` up to a closing mark. Pure."""

from __future__ import annotations

import re
from typing import Any

from app.core.records import CallPart
from models.engine.tools.parts import Numbered

_HEAD = re.compile(r"\s*call:([\w.-]+)\s*\{")
_WORD = re.compile(r"\s*([^,:{}\[\]]*?)\s*(?=[,:}\]])")


class GemmaCalls:
    """Reads one call, which goes out when its closing mark has come."""

    def __init__(self, numbered: Numbered, end: str, quote: str) -> None:
        self._numbered, self._end, self._quote = numbered, end, quote
        self._raw = ""
        self.rest: str | None = None

    def feed(self, text: str) -> list[CallPart]:
        """Take the next text in."""
        self._raw += text
        at = self._closed()
        if at is None:
            return []
        call = parse(self._raw[:at], self._quote)
        if call is None or call[0] not in self._numbered.tools:
            self.rest = self._raw
            return []
        self.rest = self._raw[at + len(self._end) :]
        return self._numbered.whole(*call)

    def _closed(self) -> int | None:
        """Where the closing mark stands, out of texts."""
        at = -1
        while (at := self._raw.find(self._end, at + 1)) >= 0:
            if self._raw.count(self._quote, 0, at) % 2 == 0:
                return at
        return None


def parse(text: str, quote: str) -> tuple[str, dict[str, Any]] | None:
    """The name and the arguments; None for what is no call."""
    head = _HEAD.match(text)
    if head is None:
        return None
    try:
        value, at = _Values(text, quote).object(head.end())
    except (ValueError, RecursionError):
        return None
    return None if text[at:].strip() else (head[1], value)


class _Values:
    def __init__(self, text: str, quote: str) -> None:
        self._text, self._quote = text, quote

    def object(self, at: int) -> tuple[dict[str, Any], int]:
        """What stands behind a brace, and where it ends."""
        found: dict[str, Any] = {}
        while True:
            at = self._blank(at)
            if self._text[at : at + 1] == "}":
                return found, at + 1
            key, at = self._word(at)
            if self._text[at : at + 1] != ":":
                raise ValueError
            found[str(key)], at = self._value(at + 1)
            at = self._comma(at, "}")

    def _list(self, at: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        while True:
            at = self._blank(at)
            if self._text[at : at + 1] == "]":
                return found, at + 1
            value, at = self._value(at)
            found.append(value)
            at = self._comma(at, "]")

    def _value(self, at: int) -> tuple[Any, int]:
        at = self._blank(at)
        sign = self._text[at : at + 1]
        if sign == "{":
            return self.object(at + 1)
        if sign == "[":
            return self._list(at + 1)
        quoted = self._text.startswith(self._quote, at)
        word, at = self._word(at)
        return (word if quoted else _plain(word)), at

    def _word(self, at: int) -> tuple[str, int]:
        """A quoted text, or a plain word."""
        at = self._blank(at)
        if self._text.startswith(self._quote, at):
            begin = at + len(self._quote)
            end = self._text.index(self._quote, begin)
            return self._text[begin:end], self._blank(end + len(self._quote))
        found = _WORD.match(self._text, at)
        if found is None:
            raise ValueError
        return found[1], found.end()

    def _comma(self, at: int, end: str) -> int:
        at = self._blank(at)
        sign = self._text[at : at + 1]
        if sign == ",":
            return at + 1
        if sign != end:
            raise ValueError
        return at

    def _blank(self, at: int) -> int:
        while self._text[at : at + 1].isspace():
            at += 1
        return at


def _plain(word: str) -> Any:
    """A word that isn't quoted: a number, true, false, null, or a text all the same."""
    known = {"true": True, "false": False, "null": None, "None": None, "True": True, "False": False}
    if word in known:
        return known[word]
    for read in (int, float):
        try:
            return read(word)
        except ValueError:
            continue
    return word
