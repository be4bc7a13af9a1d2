"""What binds an answer to a grammar, and from where on: the thoughts before it are free, and so is text before a tool call. Pure.

    start -> thinking -> blank -> bound      an answer in a format, or a call that is required: the grammar holds after the thoughts
    start -> thinking -> text --> bound      calls as the model likes: it holds from the first trigger on

Bytes in, since a token may end in the middle of a character. `look` says what a next piece would mean, `take` takes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

State = Literal["start", "thinking", "blank", "text", "bound"]
# Blanks before the answer that the grammar isn't asked about.
MOST_BLANKS = 4
# A trigger is looked for in what is new and so many bytes before it.
_BACK = 256


class View(NamedTuple):
    """What a piece would lead to. `tail`: what the grammar has to take of it (b"": it begins to hold after it); None: it is free."""

    state: State
    held: bytes
    tail: bytes | None


class Gate:
    """Decides from where on a grammar holds. `pairs` are the marks around thoughts, `opened` the closing one where they have begun.

    `trigger`: its first group begins the text that the grammar is for; without one the grammar holds from the answer's start.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]] = (),
        *,
        opened: str = "",
        trigger: re.Pattern[bytes] | None = None,
        budget: int | None = None,
    ) -> None:
        self._pairs = [(begin.encode(), end.encode()) for begin, end in pairs]
        self._close, self._trigger, self._budget = opened.encode(), trigger, budget
        self._spent = 0
        after: State = "blank" if trigger is None else "text"
        self.state: State = "thinking" if opened else "start" if pairs else "bound" if trigger is None else after
        self._held = b""

    @property
    def eager(self) -> bool:
        """Whether an answer has to come: the end of the text is for the grammar to allow."""
        return self._trigger is None

    @property
    def pending(self) -> bytes:
        """What may be the beginning of thoughts, or of what the grammar is for: nobody was asked about it yet."""
        return self._held.lstrip() if self.state == "start" else b""

    @property
    def opening(self) -> bytes:
        """What makes a mark of thoughts of what is pending."""
        pending = self.pending
        return next((begin[len(pending) :] for begin, _ in self._pairs if begin.startswith(pending)), b"")

    @property
    def wanted(self) -> bytes:
        """What closes the thoughts, less what stands of it already."""
        kept = next(
            (size for size in range(min(len(self._held), len(self._close)), 0, -1) if self._close.startswith(self._held[-size:])), 0
        )
        return self._close[kept:]

    @property
    def overspent(self) -> bool:
        """Whether the thoughts have taken as many tokens as they may."""
        return self.state == "thinking" and self._budget is not None and self._spent >= self._budget

    def look(self, piece: bytes) -> View:
        """What this piece would mean; nothing changes."""
        if self.state == "bound":
            return View("bound", b"", piece)
        state: State = self.state
        held, close = self._held + piece, self._close
        if state == "start":
            state, held, close = self._begin(held)
        if state == "thinking":
            _, found, rest = held.partition(close)
            if not found:
                return View("thinking", held if len(held) < len(close) else held[-len(close) :], None)
            state, held = "blank" if self._trigger is None else "text", rest
        if state == "blank":
            text = held.lstrip()
            return View("bound", b"", text) if text or len(held) > MOST_BLANKS else View("blank", held, None)
        if state == "text" and self._trigger is not None:
            return self._search(held, len(piece))
        return View(state, held, None)

    def take(self, piece: bytes) -> None:
        """The piece was chosen."""
        if self.state == "start":
            _, _, self._close = self._begin(self._held + piece)
        self.state, self._held, _ = self.look(piece)
        self._spent += self.state == "thinking"

    def free(self) -> None:
        """The grammar is given up: whatever comes is text."""
        self.state, self._trigger = "text", re.compile(rb"(?!)()")

    def _begin(self, held: bytes) -> tuple[State, bytes, bytes]:
        text = held.lstrip()
        for begin, close in self._pairs:
            if text.startswith(begin):
                return "thinking", text[len(begin) :], close
        if any(begin.startswith(text) for begin, _ in self._pairs) and len(held) - len(text) <= MOST_BLANKS:
            return "start", held, self._close
        return "blank" if self._trigger is None else "text", held, b""

    def _search(self, held: bytes, new: int) -> View:
        assert self._trigger is not None
        for found in self._trigger.finditer(held, max(0, len(held) - new - _BACK)):
            if not in_code(held[: found.start(1)].decode("utf-8", "replace")):
                return View("bound", b"", held[found.start(1) :])
        return View("text", held, None)


class Rule(NamedTuple):
    """A grammar in GBNF, its start called `root`, and the gate that says from where on it holds."""

    grammar: str
    gate: Gate


def in_code(before: str) -> bool:
    """Whether what follows this text stands in code: within a fence, or right after a backtick."""
    return before.count("```") % 2 == 1 or before.endswith("`")
