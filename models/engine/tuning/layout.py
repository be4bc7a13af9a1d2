"""Which way of running a model is the fast one here: what is tried, and when a figure is good enough to leave the default. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import NamedTuple

import msgspec

CLEAR = 0.05  # what is not faster by this share stays as it was
FEWEST_ROUNDS = 3
UBATCH = 512


class Layout(msgspec.Struct, frozen=True):
    """How a model computes. `ubatch`: tokens that it takes at once; `flash`: flash attention where llama.cpp finds it possible."""

    threads: int
    ubatch: int = UBATCH
    flash: bool = True


class Figures(NamedTuple):
    """One round's times in seconds: a token of one stream, a step of several streams, a prompt."""

    one: float
    many: float
    prompt: float


class Trial(msgspec.Struct, frozen=True):
    """A layout that was measured: its median times in seconds per token behind `depth` others, and how many rounds were made.

    `decided` False: there were too few rounds to say whether it is the faster one.
    """

    layout: Layout
    one: float
    many: float
    prompt: float
    rounds: int
    depth: int = 0
    decided: bool = True


class Tuned(msgspec.Struct, frozen=True):
    """What was found: the layout, what was tried, and the time of a batch of several rows over that of one: (rows, ratio).

    `complete` False: the time was too short for all of it.
    """

    layout: Layout
    trials: tuple[Trial, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    complete: bool = False


def threads_to_try(default: int, usable: int) -> tuple[int, ...]:
    """Beside the default: one less, half of it, and all that this process may use."""
    return tuple(sorted({max(1, default - 1), ceil(default / 2), usable} - {default}))


def better(best: Sequence[Figures], other: Sequence[Figures]) -> bool:
    """Whether `other`, measured in turn with `best`, is clearly faster: in every round, by `CLEAR` in the middle, and nowhere slower.

    A machine that did something else in one of the rounds so changes nothing.
    """
    if min(len(best), len(other)) < FEWEST_ROUNDS or beaten(best, other):
        return False
    ratios = _ratios(best, other)
    slowest = max(statistics.median(figure) for figure in zip(*ratios, strict=True))
    return statistics.median(map(_mean, ratios)) <= 1 - CLEAR and slowest <= 1 + CLEAR


def beaten(best: Sequence[Figures], other: Sequence[Figures] = ()) -> bool:
    """Whether there was a round in which `other` was not faster: more of them change nothing then."""
    return any(_mean(ratios) >= 1 for ratios in _ratios(best, other))


def _ratios(best: Sequence[Figures], other: Sequence[Figures]) -> list[list[float]]:
    return [[now / before for before, now in zip(a, b, strict=True)] for a, b in zip(best, other, strict=False)]


def _mean(ratios: Sequence[float]) -> float:
    return prod(ratios) ** (1 / len(ratios))


def trial(layout: Layout, rounds: Sequence[Figures], *, streams: int, prompt: int, depth: int = 0, decided: bool = True) -> Trial:
    """The middle of the rounds, as seconds per token."""
    one, many, whole = (statistics.median(figure) for figure in zip(*rounds, strict=True))
    return Trial(layout, one, many / streams, whole / prompt, len(rounds), depth, decided)


def curve(times: Mapping[int, Sequence[float]]) -> tuple[tuple[int, float], ...]:
    """Each size's least time over that of one row; never less than that of a smaller batch."""
    least = {rows: min(found) for rows, found in times.items()}
    highest, points = 0.0, []
    for rows in sorted(least):
        highest = max(highest, least[rows] / least[1])
        points.append((rows, round(highest, 3)))
    return tuple(points)
