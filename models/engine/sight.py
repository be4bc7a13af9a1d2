"""What a model sees of a picture: tokens of its own words, and spans of rows that stand for parts of it. Pure.

    words, span of the whole picture, words, span of its first tile, words, ...

The rows of a span are made by the projector (`eyes`), which takes seconds. A request whose next token lies in a span is passed over
until its rows are there; everything else goes on, the words before the span too. What the cache holds already is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from app.core.errors import OndolError
from models.engine.images import Picture


class Span(NamedTuple):
    """`length` tokens from `start` on, for the `number`-th part of a picture.

    `positions`: how many positions they take up; fewer than tokens where a model counts in two dimensions. `causal` False: its tokens
    see each other, so all are computed at once. `places` are their positions in four dimensions as (from, step per position before),
    two arrays of 4 x length; None where one counts as usual.
    """

    start: int
    length: int
    positions: int
    causal: bool
    picture: Picture
    number: int
    places: tuple[Any, Any] | None = None

    @property
    def end(self) -> int:
        """The token after it."""
        return self.start + self.length


class Sight(NamedTuple):
    """A picture as a part of a prompt: its tokens, and the spans among them (from the first of these tokens on)."""

    tokens: list[int]
    spans: tuple[Span, ...]


class Eyes(Protocol):
    """What the engine asks of the projector's thread (`models.engine.eyes.Eyes`)."""

    threads: int

    @property
    def busy(self) -> bool:
        """Whether it computes now."""
        ...

    def want(self, pictures: Sequence[Picture]) -> None:
        """These alone are wanted, the first most of all."""
        ...

    def rows(self, span: Span) -> Any:
        """The rows of a span; None while they are not there. OndolError where they will never be."""
        ...


class Seeing(Protocol):
    """A request as it is looked at here (`models.engine.request.Request`)."""

    done: int
    spans: Sequence[Span]
    rows: dict[int, Any]


def span_at(spans: Iterable[Span], index: int) -> Span | None:
    """The span that this token lies in."""
    return next((span for span in spans if span.start <= index < span.end), None)


def cut(spans: Iterable[Span], done: int, count: int) -> int:
    """How many of `count` tokens after `done` can be computed in one batch: words up to the next span, or tokens of one span.

    What sees itself whole is computed whole, however many tokens were meant.
    """
    for span in spans:
        if span.start <= done < span.end:
            return min(count, span.end - done) if span.causal else span.end - done
        if done < span.start:
            return min(count, span.start - done)
    return count


def blocked(request: Seeing) -> bool:
    """Whether it can't go on: what comes next is a part of a picture that was not seen yet."""
    span = span_at(request.spans, request.done)
    return span is not None and span.start not in request.rows


def gather(request: Seeing, eyes: Eyes) -> list[Picture]:
    """Take the rows that are there, let those go that were computed; returns the pictures that are still to be seen.

    OndolError where one can't be.
    """
    missing = []
    for span in request.spans:
        if span.end <= request.done:
            request.rows.pop(span.start, None)
        elif span.start not in request.rows:
            rows = eyes.rows(span)
            if rows is None:
                missing.append(span.picture)
            else:
                request.rows[span.start] = rows
    return missing


class Blind:
    """The eyes of a model that has none."""

    threads, busy = 0, False

    def want(self, pictures: Sequence[Picture]) -> None:
        """Nothing is."""

    def rows(self, span: Span) -> Any:  # noqa: ARG002  # the contract's signature
        """None, of a span that there can't be."""
        raise OndolError("This model can't see.")
