"""What was written goes out as it comes, but no more often than a reader can tell.

A small model writes hundreds of tokens a second. Each that goes out by itself wakes the server, and the client behind it, on
the very cores that compute the next one. So text that follows text of the same request within `EVERY` seconds is held back,
and goes out with what comes next: the first text at once, then at most sixty times a second. It never waits for a step that
takes longer: the owner calls `flush` before one. Models that need longer for a token don't notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.core.records import Piece
from models.engine.request import Output

EVERY = 1 / 60


class Outlet:
    """`send` hands one output on. Not for several threads."""

    def __init__(self, send: Callable[[Output], None], *, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._send, self._every, self._clock = send, every, clock
        self._held: dict[int, Piece] = {}
        self._sent: dict[int, float] = {}

    def take(self, output: Output) -> None:
        """Hand an output on, now or with the next one of its request."""
        id, news = output
        held = self._held.pop(id, None)
        if held is not None and (not isinstance(news, Piece) or _kind(held) != _kind(news)):
            self._send(Output(id, held))
            held = None
        if not isinstance(news, Piece) or not _kind(news):
            self._sent.pop(id, None)
            self._send(output)
            return
        piece = news if held is None else _joined(held, news)
        if self._due(id):
            self._out(id, piece)
        else:
            self._held[id] = piece

    def flush(self) -> None:
        """All that is held goes out."""
        self._let_go(list(self._held))

    def flush_due(self) -> None:
        """What has been held for long enough goes out: its request may have no news for a while."""
        self._let_go([id for id in self._held if self._due(id)])

    def forget(self, id: int) -> None:
        """Nobody waits for this request's text any more."""
        self._held.pop(id, None)
        self._sent.pop(id, None)

    def _let_go(self, ids: list[int]) -> None:
        for id in ids:
            self._out(id, self._held.pop(id))

    def _due(self, id: int) -> bool:
        return self._clock() - self._sent.get(id, float("-inf")) >= self._every

    def _out(self, id: int, piece: Piece) -> None:
        self._sent[id] = self._clock()
        self._send(Output(id, piece))


def _kind(piece: Piece) -> str:
    """What such pieces can be joined to; empty: to nothing. The end of an answer and calls go out in their order, at once."""
    if piece.finish_reason is not None or piece.calls or (piece.text and piece.reasoning):
        return ""
    return "thought" if piece.reasoning else "text"


def _joined(one: Piece, other: Piece) -> Piece:
    return Piece(one.text + other.text, reasoning=one.reasoning + other.reasoning, chances=one.chances + other.chances)
