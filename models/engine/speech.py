"""One answer on its way out: a token's bytes become text, thoughts, or tool calls. Pure.

bytes -> characters, stop strings (`text_stream`) -> reasoning apart from the answer (`reasoning`) -> calls apart from text (`tools`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

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


class Listener(Protocol):
    """Tells what an answer's text holds apart (`tools.calls`, `tools.harmony`)."""

    def feed(self, text: str) -> Said:
        """Take the next text in; what is certain by now."""
        ...

    def finish(self) -> Said:
        """The end: what was held back."""
        ...


class Speech:
    """`thoughts` tells reasoning from the answer, `listener` calls from its text; None where all of it is text (raw prompts).

    `called`: whether a tool call was handed out.
    """

    def __init__(self, stop: Iterable[str] = (), thoughts: Thoughts | None = None, listener: Listener | None = None) -> None:
        self._stream, self._thoughts, self._listener = TextStream(stop), thoughts, listener
        self.called = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: the answer ends here."""
        return self._stream.stopped

    def feed(self, data: bytes) -> Said:
        """Take the next bytes in."""
        reasoning, answer = self._think(self._stream.feed(data))
        return self._listen(answer) + Said(reasoning=reasoning)

    def finish(self) -> Said:
        """The end: what was held back."""
        reasoning, answer = self._think(self._stream.finish())
        more, end = self._thoughts.finish() if self._thoughts else ("", "")
        said = self._listen(answer + end) + (self._listener.finish() if self._listener else Said())
        self.called = self.called or bool(said.calls)
        return said + Said(reasoning=reasoning + more)

    def _think(self, text: str) -> tuple[str, str]:
        return self._thoughts.feed(text) if self._thoughts else ("", text)

    def _listen(self, text: str) -> Said:
        said = self._listener.feed(text) if self._listener else Said(text)
        self.called = self.called or bool(said.calls)
        return said._replace(calls=_joined(said.calls)) if said.calls else said


def _joined(parts: Iterable[CallPart]) -> tuple[CallPart, ...]:
    """Readers go letter by letter: what of one call came at once is one part, but for its head, which stands alone."""
    joined: list[CallPart] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and not last.name and not part.name and last.index == part.index:
            joined[-1] = CallPart(part.index, arguments=last.arguments + part.arguments)
        else:
            joined.append(part)
    return tuple(joined)
