"""What readers of tool calls are made of: text that is cut at marks, JSON that is followed letter by letter. Pure."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from app.core.records import CallPart

NewId = Callable[[], str]
_LETTERS = string.ascii_letters + string.digits


class Tool(NamedTuple):
    """A function that may be called. `parameters` is its JSON schema; `strict`: its grammar keeps all of it."""

    name: str
    parameters: Mapping[str, Any]
    strict: bool = False


class Reader(Protocol):
    """Reads what comes behind a family's mark.

    It has ended when `rest` is a text: what follows its calls, or all that it was given where it held none.
    """

    rest: str | None

    def feed(self, text: str) -> list[CallPart]:
        """Take the next text in; the parts of calls that are certain by now."""
        ...


def new_id() -> str:
    """As OpenAI's look."""
    return "call_" + secrets.token_hex(12)


def short_id() -> str:
    """Nine letters and digits, as Mistral's templates want them."""
    return "".join(secrets.choice(_LETTERS) for _ in range(9))


class Numbered:
    """Numbers the calls of one answer, and gives each an id."""

    def __init__(self, tools: Iterable[Tool], make_id: NewId = new_id) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self._make_id, self._count = make_id, 0

    def begin(self, name: str, id: str = "") -> CallPart:
        """The first part of the next call."""
        self._count += 1
        return CallPart(self._count - 1, id or self._make_id(), name)

    def more(self, arguments: str) -> CallPart:
        """More of the arguments of the call that was begun last."""
        return CallPart(self._count - 1, arguments=arguments)

    def whole(self, name: str, arguments: Mapping[str, Any]) -> list[CallPart]:
        """A call that is known at once."""
        return [self.begin(name), self.more(json.dumps(arguments, ensure_ascii=False))]


class Value:
    """Follows one JSON value to its end. `text` is what of it has come."""

    def __init__(self) -> None:
        self.text, self._depth, self._quoted, self._escaped = "", 0, False, False

    def feed(self, one: str) -> bool | None:
        """Take a letter: True when it ended the value, False when it is behind its end, None while it goes on."""
        if self._quoted:
            return True if self._follow(one) and self._depth == 0 else None
        if self._depth == 0 and self.text and one in ",}] \t\r\n":
            return False
        self.text += one
        if one == '"':
            self._quoted = True
        elif one in "{[":
            self._depth += 1
        elif one in "}]":
            self._depth -= 1
            return True if self._depth <= 0 else None
        return None

    def _follow(self, one: str) -> bool:
        """Within quotes; whether they were closed."""
        self.text += one
        if self._escaped:
            self._escaped = False
        elif one == "\\":
            self._escaped = True
        elif one == '"':
            self._quoted = False
        return not self._quoted


def loads(text: str) -> Any:
    """The JSON value, or None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def could_begin(text: str, marks: Iterable[str]) -> int:
    """How many letters at the end of `text` may be the beginning of a mark."""
    marks = tuple(marks)
    longest = min(len(text), max(map(len, marks), default=1) - 1)
    return next((size for size in range(longest, 0, -1) if any(mark.startswith(text[-size:]) for mark in marks)), 0)
