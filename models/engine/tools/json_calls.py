"""Calls as JSON objects with a name and arguments, one after the other or in a list, up to a closing mark. Pure."""

from __future__ import annotations

import json
from typing import Literal

from app.core.records import CallPart
from models.engine.tools.parts import Numbered, Value, loads

NAMES = ("name", "tool_name")
ARGUMENTS = ("arguments", "parameters", "args")
_BETWEEN = " \t\r\n,;[]"


class JsonCalls:
    """Reads `{"name": ..., "arguments": ...}` objects until `end` (""; until something else comes)."""

    def __init__(self, numbered: Numbered, end: str = "") -> None:
        self._numbered, self._end = numbered, end
        self._raw = self._mark = ""
        self._object: _Object | None = None
        self._calls = 0
        self.rest: str | None = None

    def feed(self, text: str) -> list[CallPart]:
        """Take the next text in."""
        parts: list[CallPart] = []
        for at, one in enumerate(text):
            self._raw += one
            if self._object is not None:
                parts += self._inside(one)
            else:
                self._between(one)
            if self.rest is not None:
                self.rest += text[at + 1 :]
                break
        return parts

    def _inside(self, one: str) -> list[CallPart]:
        assert self._object is not None
        parts = self._object.feed(one)
        if self._object.state == "broken":
            # What has gone out can't be taken back: a call that breaks off stays one.
            self.rest = "" if self._object.begun else self._object.raw if self._calls else self._raw
        elif self._object.state == "done":
            self._object, self._calls = None, self._calls + 1
        return parts

    def _between(self, one: str) -> None:
        mark = self._mark + one
        if self._end and self._end.startswith(mark):
            self._mark = mark
            if mark == self._end:
                self.rest = "" if self._calls else self._raw
        elif not self._mark and one in _BETWEEN:
            return
        elif not self._mark and one == "{":
            self._object = _Object(self._numbered)
            self._object.feed(one)
        else:
            self.rest = mark if self._calls else self._raw


class _Object:
    """One call's object, letter by letter. Its parts go out as soon as the name is known to be one of ours and its arguments begin."""

    def __init__(self, numbered: Numbered) -> None:
        self._numbered = numbered
        self.raw = ""
        self.state: Literal["open", "key", "colon", "value", "next", "done", "broken"] = "open"
        self._value = Value()
        self._key = self._id = self._name = ""
        self._arguments: str | None = None
        self.begun, self._sent = False, 0

    def feed(self, one: str) -> list[CallPart]:
        self.raw += one
        match self.state:
            case "open":
                self.state = "key"
            case "key" | "next":
                self._wait(one)
            case "colon":
                self._colon(one)
            case "value":
                self._in_value(one)
        return self._parts()

    def _wait(self, one: str) -> None:
        if self._value.text:  # within a key
            if self._value.feed(one):
                key = loads(self._value.text)
                self._key, self._value = (key if isinstance(key, str) else ""), Value()
                self.state = "colon"
        elif one == '"' and self.state == "key":
            self._value.feed(one)
        elif one == "}":
            self.state = "done" if self._name else "broken"
        elif one == "," and self.state == "next":
            self.state = "key"
        elif not one.isspace():
            self.state = "broken"

    def _colon(self, one: str) -> None:
        if one == ":":
            self.state = "value"
        elif not one.isspace():
            self.state = "broken"

    def _in_value(self, one: str) -> None:
        if not self._value.text and one.isspace():
            return
        ended = self._value.feed(one)
        if ended is None:
            return
        text, self._value = self._value.text, Value()
        self.state = "next"
        self._take(text)
        if ended is False and self.state == "next":
            self._wait(one)

    def _take(self, text: str) -> None:
        value = loads(text)
        if self._key in NAMES:
            if not isinstance(value, str) or value not in self._numbered.tools:
                self.state = "broken"
            else:
                self._name = value
        elif self._key in ARGUMENTS:
            inner = loads(value) if isinstance(value, str) else None
            # Some models write the arguments as a text that holds JSON.
            self._arguments = str(value) if isinstance(inner, dict) else "{}" if text == "null" else text
        elif self._key in ("id", "tool_call_id") and isinstance(value, str):
            self._id = value

    def _parts(self) -> list[CallPart]:
        if not self._name or self.state == "broken":
            return []
        arguments = self._arguments
        if arguments is None and self.state == "value" and self._key in ARGUMENTS and self._value.text[:1] == "{":
            arguments = self._value.text
        if arguments is None and self.state == "done":
            arguments = "{}"
        if arguments is None or len(arguments) == self._sent:
            return []
        first = [] if self.begun else [self._numbered.begin(self._name)]
        more, self._sent, self.begun = arguments[self._sent :], len(arguments), True
        return [*first, self._numbered.more(more)]


def shown(name: str, arguments: object) -> str:
    """A call as such an object."""
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
