"""The rules of a grammar under construction, and those that every JSON grammar shares. Pure."""

from __future__ import annotations

import json
import re

# What JSON is made of. Blanks are bounded, so that a small model can't lose itself in them.
_SHARED: dict[str, str] = {
    "ws": r'(" " | "\n" [ \t]{0,20})?',
    "char": r'[^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)',
    "hex": "[0-9a-fA-F]",
    "string": r'"\"" char* "\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": 'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" ws (pair ("," ws pair)* ws)? "}"',
    "pair": 'string ":" ws value',
    "array": '"[" ws (value ("," ws value)* ws)? "]"',
}
_DEPENDS = re.compile(r"\b(" + "|".join(sorted(_SHARED, key=len, reverse=True)) + r")\b")


class Rules:
    """Named rules; `text` is the grammar whose start is the rule `root`."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}

    def shared(self, name: str) -> str:
        """One of the rules that JSON is made of, with what it rests on; its name."""
        if name not in self._bodies:
            self._bodies[name] = _SHARED[name]
            for other in _DEPENDS.findall(re.sub(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]', "", _SHARED[name])):
                self.shared(other)
        return name

    def reserve(self, hint: str) -> str:
        """A name that nobody has, to be defined later: rules may speak of themselves."""
        base = re.sub(r"[^a-zA-Z0-9]+", "-", hint).strip("-")[:40] or "rule"
        name, number = f"{base}-r", 1
        while name in self._bodies:
            number += 1
            name = f"{base}-r{number}"
        self._bodies[name] = ""
        return name

    def define(self, name: str, body: str) -> str:
        """Give a rule its body; its name."""
        self._bodies[name] = body
        return name

    def add(self, hint: str, body: str) -> str:
        """A new rule; its name."""
        return self.define(self.reserve(hint), body)

    def __len__(self) -> int:
        return len(self._bodies)

    @property
    def text(self) -> str:
        """The grammar."""
        return "\n".join(f"{name} ::= {body}" for name, body in self._bodies.items()) + "\n"


def literal(text: str) -> str:
    """A text as a grammar writes it."""
    return '"' + "".join(letter(one, inside='"') for one in text) + '"'


def letter(one: str, *, inside: str = "]^-") -> str:
    """A character within a text or a class, as a grammar writes it."""
    if one.isprintable() and one != "\\" and one not in inside:
        return one
    return f"\\x{ord(one):02X}" if ord(one) < 0x80 else f"\\u{ord(one):04X}" if ord(one) < 0x10000 else f"\\U{ord(one):08X}"


def json_literal(value: object) -> str:
    """A JSON value, in one writing, as a grammar's text."""
    return literal(json.dumps(value, ensure_ascii=False))


def either(bodies: list[str]) -> str:
    """Any of these."""
    return bodies[0] if len(bodies) == 1 else f"({' | '.join(bodies)})"
