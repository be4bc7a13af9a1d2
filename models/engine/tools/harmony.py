"""Harmony, in which gpt-oss writes: every message has a channel. Pure.

<|channel|>analysis<|message|>...<|end|>                                                       thoughts
<|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}    a call
<|start|>assistant<|channel|>final<|message|>...                                               the answer
"""

from __future__ import annotations

import re

from app.core.records import CallPart
from models.engine.speech import Said
from models.engine.tools.parts import Numbered, could_begin

MARKS = ("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>")
_ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>")
_HEADS = ("<|start|>", "<|channel|>", "to=", "assistant")
_TO = re.compile(r"to=(?:functions\.)?([^\s<]+)")


class Harmony:
    """One answer on its way out. Without a channel before it, text is the answer."""

    def __init__(self, numbered: Numbered) -> None:
        self._numbered = numbered
        self._held = self._head = ""
        self._inside: str | None = None  # thoughts, answer, call; None between messages
        self._begun = False

    def feed(self, text: str) -> Said:
        """Take the next text in."""
        self._held += text
        said = Said()
        while (more := self._step()) is not None:
            said += more
        return said

    def finish(self) -> Said:
        """The end: what was held back."""
        held, self._held = self._held, ""
        if self._inside is None:
            return Said() if not held or held.startswith("<|") or self._begun else Said(held)
        return self._said(held)

    def _step(self) -> Said | None:
        """One step on; None where more text is needed."""
        if self._inside is None:
            return self._header()
        ends = [(at, mark) for mark in _ENDS if (at := self._held.find(mark)) >= 0]
        if ends:
            at, mark = min(ends)
            said = self._said(self._held[:at])
            self._held = self._held[at + (0 if mark in ("<|start|>", "<|channel|>") else len(mark)) :]
            self._inside = None
            return said
        keep = could_begin(self._held, _ENDS)
        sure, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return self._said(sure) if sure else None

    def _header(self) -> Said | None:
        held = self._held.lstrip() if not self._begun else self._held
        if not self._begun and not any(word.startswith(held) or held.startswith(word) for word in _HEADS):
            self._inside, self._begun = "answer", True
            return Said()
        head, found, rest = held.partition("<|message|>")
        if not found:
            return None
        self._held, self._begun = rest, True
        to = _TO.search(head)
        if to and to[1] in self._numbered.tools:
            self._inside = "call"
            return Said(calls=(self._numbered.begin(to[1]),))
        self._inside = "thoughts" if "analysis" in head else "answer"
        return Said()

    def _said(self, text: str) -> Said:
        if not text:
            return Said()
        if self._inside == "thoughts":
            return Said(reasoning=text)
        if self._inside == "call":
            return Said(calls=(CallPart(self._numbered.more(text).index, arguments=text),))
        return Said(text)
