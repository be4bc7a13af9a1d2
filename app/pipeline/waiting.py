"""What a person is told while there is no text yet: the model loads, or others come first. Pure but for what it remembers."""

from __future__ import annotations

from app.core.records import Piece, Waiting
from app.pipeline.phrases import phrase
from app.pipeline.steps import Status

# A chat page keeps every line it was sent: a load is told in tenths, a queue when its place changes.
_TENTHS = 10


class Waits:
    """The waits of one answer, in the language of its question."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._open: Waiting | None = None
        self._told: tuple[str, int] | None = None

    def news(self, of: Piece | Waiting) -> list[Status]:
        """The lines to show for what came from the backend: a wait's next line, or the end of the wait when text comes."""
        if isinstance(of, Piece):
            return self._close()
        lines = self._close() if self._open is not None and self._open.kind != of.kind else []
        self._open = of
        at = int(of.progress * _TENTHS) if of.kind == "loading" else of.place
        if self._told == (of.kind, at):
            return lines
        self._told = (of.kind, at)
        return [*lines, Status(self._line(of))]

    def _line(self, of: Waiting) -> str:
        if of.kind == "queued":
            return phrase("queued", self._asked, place=of.place)
        percent = int(of.progress * _TENTHS) * (100 // _TENTHS)
        return phrase("loading", self._asked, model=of.model, size=size(of.size_bytes), percent=percent)

    def _close(self) -> list[Status]:
        ended, self._open, self._told = self._open, None, None
        if ended is None:
            return []
        name = "loaded" if ended.kind == "loading" else "begun"
        return [Status(phrase(name, self._asked, model=ended.model), done=True)]


def size(count: int) -> str:
    """Bytes for people: 95 MB, 2.1 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
