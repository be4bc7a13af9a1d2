"""A caller's grammar is read before llama.cpp sees it: that reads badly written ones without an end, or to its own. Pure.

The language is llama.cpp's: `name ::= alternatives`, with "text", [classes], `.`, names, (groups), <tokens>, and `* + ? {n} {n,m}` behind
them; `#` begins a comment. What only llama.cpp can find (a rule that begins with itself) it tells by itself.
"""

from __future__ import annotations

import re

from app.core.errors import BadRequest

LONGEST = 200_000  # characters of a grammar
DEEPEST = 100  # parentheses within each other
MOST_REPEATS = 2000

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\#[^\r\n]*)
    |(?P<line>\r?\n)
    |(?P<define>::=)
    |(?P<name>[a-zA-Z0-9-]+)
    |(?P<text>"(?:[^"\\\r\n]|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[tnr\\"\[\]]))*")
    |(?P<set>\[\^?(?:[^\]\\\r\n]|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[tnr\\"\[\]\-]))*\])
    |(?P<token>!?<[^<>\r\n]+>)
    |(?P<any>\.)
    |(?P<repeat>[*+?]|\{[ ]*\d{1,6}[ ]*(?:,[ ]*(?:\d{1,6}[ ]*)?)?\})
    |(?P<open>\()|(?P<close>\))|(?P<or>\|)""",
    re.VERBOSE,
)


def check(source: str) -> None:
    """BadRequest with the line where a grammar is wrong: its writing, a name that nothing defines, too deep or too often repeated."""
    if len(source) > LONGEST:
        raise _wrong(f"it has {len(source):,} characters, more than {LONGEST:,}")
    reader = _Reader(source)
    reader.read()
    if "root" not in reader.defined:
        raise _wrong("no rule is called root")
    for name, line in reader.used:
        if name not in reader.defined:
            raise _wrong(f"nothing defines '{name}'", line)


class _Reader:
    """One pass over the tokens."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.defined: set[str] = set()
        self.used: list[tuple[str, int]] = []
        self._line, self._depth = 1, 0
        # "rule": a name has to come; "define": its ::=; "first": an element may, also on the next line; "behind": one has just ended
        self._state = "rule"

    def read(self) -> None:
        """All of it."""
        at = 0
        while at < len(self._source):
            found = _TOKEN.match(self._source, at)
            if found is None:
                raise _wrong(f"this can't be read: {self._source[at : at + 30].splitlines()[0]!r}", self._line)
            self._take(str(found.lastgroup), found[0])
            at = found.end()
        if self._depth or self._state == "define":
            raise _wrong("it ends in the middle of a rule", self._line)

    def _take(self, kind: str, text: str) -> None:
        if kind == "line":
            self._line += 1
            if not self._depth and self._state == "behind":
                self._state = "rule"
        elif kind == "space":
            return
        elif self._state == "rule":
            self._expect(kind == "name", text)
            self.defined.add(text)
            self._state = "define"
        elif self._state == "define":
            self._expect(kind == "define", text)
            self._state = "first"
        else:
            self._element(kind, text)

    def _element(self, kind: str, text: str) -> None:
        match kind:
            case "name":
                self.used.append((text, self._line))
            case "repeat":
                self._expect(self._state == "behind", text)
                self._count(text)
            case "open":
                self._depth += 1
                if self._depth > DEEPEST:
                    raise _wrong(f"more than {DEEPEST} parentheses lie within each other", self._line)
            case "close":
                self._expect(self._depth > 0, text)
                self._depth -= 1
            case "define":
                self._expect(False, text)
        self._state = "first" if kind in ("open", "or") else "behind"

    def _count(self, text: str) -> None:
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if any(number > MOST_REPEATS for number in numbers):
            raise _wrong(f"{text} repeats more than {MOST_REPEATS:,} times", self._line)
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            raise _wrong(f"in {text} the first number is the larger one", self._line)

    def _expect(self, right: bool, text: str) -> None:
        if not right:
            raise _wrong(f"{text!r} can't stand here", self._line)


def _wrong(what: str, line: int | None = None) -> BadRequest:
    where = f" in line {line}" if line else ""
    return BadRequest(f"The grammar is wrong{where}: {what}.", param="grammar", code="bad_grammar")
