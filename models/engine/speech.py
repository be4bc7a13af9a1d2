"""One answer on its way out: a token's bytes become text, or thoughts. Pure.

bytes -> characters, stop strings (`text_stream`) -> reasoning apart from the answer (`reasoning`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from app.core.records import CallPart
from models.engine.reasoning import Thoughts
from models.engine.text_stream import TextStream


class Said(NamedTuple):
    """What is certain by now; often nothing."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[CallPart, ...] = ()

    def __add__(self, after: Said) -> Said:  # type: ignore[override]
        """Both, one after the other."""
        return Said(self.text + after.text, self.reasoning + after.reasoning, self.calls + after.calls)


class Speech:
    """`thoughts` tells reasoning from the answer; None where all of it is text (raw prompts)."""

    def __init__(self, stop: Iterable[str] = (), thoughts: Thoughts | None = None) -> None:
        self._stream, self._thoughts = TextStream(stop), thoughts
        self._called = False

    @property
    def called(self) -> bool:
        """Whether a tool call was handed out."""
        return self._called

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: the answer ends here."""
        return self._stream.stopped

    def feed(self, data: bytes) -> Said:
        """Take the next bytes in."""
        text = self._stream.feed(data)
        if self._thoughts is None:
            return Said(text)
        reasoning, answer = self._thoughts.feed(text)
        return Said(answer, reasoning)

    def finish(self) -> Said:
        """The end: what was held back."""
        text = self._stream.finish()
        if self._thoughts is None:
            return Said(text)
        reasoning, answer = self._thoughts.feed(text)
        more, end = self._thoughts.finish()
        return Said(answer + end, reasoning + more)
