r"""A regular expression of a JSON schema, as a grammar of the texts that it fits, written as JSON writes them. Pure.

What it knows: characters, `.`, classes, `\d \w \s` and their opposites, groups, alternatives, repetitions, and `^` and `$` at the
ends. Without an anchor anything may stand there.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.engine.grammar.rules import Rules, either, letter, literal

_MOST = 2000
_CONTROL = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}
_CLASSES = {
    "d": [("0", "9")],
    "w": [("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")],
    "s": [("\t", "\t"), ("\n", "\n"), ("\r", "\r"), (" ", " ")],
}
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
Range = tuple[str, str]


class CannotSay(Exception):
    """A grammar can't say this part of a pattern."""


def pattern(rules: Rules, source: str) -> str:
    """What stands between a string's quotes. CannotSay for what it doesn't know."""
    return _Pattern(rules, source).read()


class _Pattern:
    def __init__(self, rules: Rules, source: str) -> None:
        self._rules, self._source, self._at, self._depth = rules, source, 0, 0

    def read(self) -> str:
        bodies = [self._anchored()]
        while self._take("|"):
            bodies.append(self._anchored())
        if self._at < len(self._source):
            raise CannotSay(f"{self._source[self._at]!r} at character {self._at + 1}")
        return either(bodies)

    def _anchored(self) -> str:
        anything = "char*"
        begin = "" if self._take("^") else anything
        body = self._sequence()
        end = "" if self._take("$") else anything
        if anything in (begin, end):
            self._rules.shared("char")
        return " ".join(part for part in (begin, body, end) if part)

    def _sequence(self) -> str:
        parts = []
        while self._at < len(self._source) and self._source[self._at] not in "|)$":
            parts.append(self._repeated(self._one()))
        return " ".join(parts) or '""'

    def _one(self) -> str:
        sign = self._next()
        match sign:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return _set([("\n", "\n"), ("\r", "\r")], out=True)
            case "\\":
                ranges, out = self._escape()
                return _set(ranges, out=out)
            case "^" | "*" | "+" | "?":
                raise CannotSay(f"{sign!r} at character {self._at}")
        return _set([(sign, sign)])

    def _group(self) -> str:
        self._depth += 1
        if self._depth > 50:
            raise CannotSay("groups in groups without an end")
        if self._take("?") and not self._take(":"):
            raise CannotSay("a look around or a named group")
        bodies = [self._sequence()]
        while self._take("|"):
            bodies.append(self._sequence())
        if not self._take(")"):
            raise CannotSay("a group that isn't closed, or an anchor within it")
        self._depth -= 1
        return f"({' | '.join(bodies)})"

    def _repeated(self, body: str) -> str:
        sign = self._source[self._at : self._at + 1]
        if sign in ("*", "+", "?") and sign:
            self._at += 1
            counts = sign
        elif sign == "{":
            end = self._source.find("}", self._at)
            low, comma, high = self._source[self._at + 1 : max(end, 0)].partition(",")
            if not low.isdecimal() or (high and not high.isdecimal()):
                raise CannotSay(f"'{{' at character {self._at + 1}")
            if max(int(low), int(high or 0)) > _MOST or (high and int(high) < int(low)):
                raise CannotSay(f"the repetition {self._source[self._at : end + 1]}")
            self._at = end + 1
            counts = f"{{{int(low)}{comma}{int(high) if high else ''}}}"
        else:
            return body
        self._take("?")  # greedy or not is the same to a grammar
        return f"{self._rules.add('part', body)}{counts}"

    def _class(self) -> str:
        out = self._take("^")
        ranges: list[Range] = []
        first = True
        while first or not self._take("]"):
            first = False
            begin, wide = self._member()
            if wide:
                ranges += wide
            elif self._source[self._at : self._at + 1] == "-" and self._source[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                end, other = self._member()
                if other or end < begin:
                    raise CannotSay(f"the range before character {self._at + 1}")
                ranges.append((begin, end))
            else:
                ranges.append((begin, begin))
        return _set(ranges, out=out)

    def _member(self) -> tuple[str, list[Range]]:
        sign = self._next()
        if sign != "\\":
            return sign, []
        ranges, out = self._escape(inside=True)
        if out:
            raise CannotSay("an opposite within a class")
        return (ranges[0][0], []) if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else ("", ranges)

    def _escape(self, *, inside: bool = False) -> tuple[list[Range], bool]:
        sign = self._next()
        if sign.lower() in _CLASSES:
            return _CLASSES[sign.lower()], sign.isupper()
        if sign in ("x", "u"):
            size = 2 if sign == "x" else 4
            digits = self._source[self._at : self._at + size]
            self._at += size
            try:
                one = chr(int(digits, 16))
            except ValueError:
                raise CannotSay(f"the escape \\{sign}{digits}") from None
        elif sign in _ESCAPED:
            one = _ESCAPED[sign]
        elif sign == "b" and inside:
            one = "\b"
        elif sign.isalnum():
            raise CannotSay(f"the escape \\{sign}")
        else:
            one = sign
        return [(one, one)], False

    def _next(self) -> str:
        if self._at >= len(self._source):
            raise CannotSay("an end in the middle")
        self._at += 1
        return self._source[self._at - 1]

    def _take(self, sign: str) -> bool:
        if self._source[self._at : self._at + 1] == sign:
            self._at += 1
            return True
        return False


def _set(ranges: Iterable[Range], *, out: bool = False) -> str:
    """One character of (or out of) these ranges, as JSON writes it."""
    ranges = list(ranges)
    if out:
        left = "".join(f"{letter(low)}-{letter(high)}" for low, high in ranges)
        escapes = [
            f'"\\\\{escape}"' for one, escape in (('"', '\\"'), ("\\", "\\\\"), ("\n", "n"), ("\t", "t")) if not _within(one, ranges)
        ]
        return either([f"[^\\x22\\\\\\x00-\\x1F{left}]", *escapes])
    plain: list[str] = []
    escaped: list[str] = []
    for low, high in ranges:
        for begin, end in _pieces(low, high):
            if begin == end and (begin in '"\\' or begin < " "):
                escaped.append(literal(_written(begin)))
            else:
                plain.append(letter(begin) if begin == end else f"{letter(begin)}-{letter(end)}")
    return either([*([f"[{''.join(plain)}]"] if plain else []), *escaped])


def _pieces(low: str, high: str) -> list[Range]:
    """A range cut where characters need another writing."""
    cuts = [one for one in ('"', "\\") if low <= one <= high]
    pieces: list[Range] = [(chr(code), chr(code)) for code in range(ord(low), min(ord(high), 0x1F) + 1)]
    begin = max(ord(low), 0x20)
    for cut in cuts:
        if begin < ord(cut):
            pieces.append((chr(begin), chr(ord(cut) - 1)))
        pieces.append((cut, cut))
        begin = ord(cut) + 1
    return [*pieces, (chr(begin), high)] if begin <= ord(high) else pieces


def _within(one: str, ranges: list[Range]) -> bool:
    return any(low <= one <= high for low, high in ranges)


def _written(one: str) -> str:
    """A character that JSON escapes, as it writes it."""
    return f"\\{one}" if one in '"\\' else f"\\{_CONTROL[one]}" if one in _CONTROL else f"\\u{ord(one):04x}"
