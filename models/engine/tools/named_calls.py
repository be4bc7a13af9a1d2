"""Calls as a name, a mark, and arguments in JSON: Mistral's since 2025, DeepSeek's. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from app.core.records import CallPart
from models.engine.tools.parts import Numbered, Value

_LONGEST_NAME = 200


class Frame(NamedTuple):
    """What stands around: `begin (prefix NAME mark {...} end) again (prefix NAME mark {...} end) close`."""

    begin: str
    mark: str
    prefix: str = ""
    end: str = ""
    again: str = ""
    close: str = ""


class NamedCalls:
    """Reads calls behind `begin`, letter by letter."""

    def __init__(self, numbered: Numbered, frame: Frame) -> None:
        self._numbered, self._frame = numbered, frame
        self._state: Literal["prefix", "name", "value", "end", "after"] = "prefix" if frame.prefix else "name"
        self._raw = self._held = ""
        self._value = Value()
        self._calls = 0
        self.rest: str | None = None

    def feed(self, text: str) -> list[CallPart]:
        """Take the next text in."""
        parts: list[CallPart] = []
        for at, one in enumerate(text):
            self._raw += one
            parts += self._take(one)
            if self.rest is not None:
                self.rest += text[at + 1 :]
                break
        return parts

    def _take(self, one: str) -> list[CallPart]:
        if self._state == "value":
            return self._arguments(one)
        self._held += one
        if self._state == "name":
            return self._named()
        frame, held = self._frame, self._held.lstrip()
        wanted = {"prefix": {frame.prefix: "name"}, "end": {frame.end: "after"}}.get(self._state, self._next())
        wanted = {mark.lstrip(): then for mark, then in wanted.items()}
        if held in wanted:
            self._held, then = "", wanted[held]
            if then == "close":
                self.rest = ""
            else:
                self._go(then)
        elif held and not any(mark.startswith(held) for mark in wanted if mark):
            self._stop(self._held)
        return []

    def _next(self) -> dict[str, str]:
        """What may follow a call."""
        frame = self._frame
        more = {frame.again: "prefix" if frame.prefix else "name"} if frame.again.strip() else {frame.prefix: "name"}
        return {mark: then for mark, then in {**more, frame.close: "close"}.items() if mark}

    def _go(self, state: str) -> None:
        self._state = "prefix" if state == "prefix" else "name" if state == "name" else "after"

    def _named(self) -> list[CallPart]:
        mark = self._frame.mark
        if not self._held.endswith(mark):
            if len(self._held) > _LONGEST_NAME:
                self._stop(self._held)
            return []
        # A call's id may stand between its name and the mark.
        name = self._held.removesuffix(mark).partition("[CALL_ID]")[0].strip()
        if name not in self._numbered.tools:
            self._stop(self._held)
            return []
        self._held, self._value, self._state = "", Value(), "value"
        self._calls += 1
        return [self._numbered.begin(name)]

    def _arguments(self, one: str) -> list[CallPart]:
        if not self._value.text and one != "{":
            if not one.isspace():
                self._stop(one)
            return []
        if self._value.feed(one):
            self._state = "end" if self._frame.end else "after"
        return [self._numbered.more(one)]

    def _stop(self, held: str) -> None:
        """Something else has come: text, and all of it where there was no call yet."""
        self.rest = held if self._calls else self._raw
