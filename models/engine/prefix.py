"""Whose tokens a new request may go on from, and what the cells of sequences that share their beginning come to. Pure.

Two sequences that were given the same first tokens share the cells of these. A *lineage* says which: (span, start) pairs, where a
span is what one sequence computed from `start` on, and every sequence that holds a part of it holds it from its start. So the
cells of a span are as many as the longest of its holders has.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from models.engine.images import whole

SHORTEST = 16  # tokens in common below which nothing is shared: not worth a second place to cut the prompt
WORTH_WAITING = 64  # tokens that another request is about to compute, for which a request waits outside

Lineage = tuple[tuple[int, int], ...]


class Held(NamedTuple):
    """A sequence and the tokens whose cells it holds; `kept`: nobody runs on it. `group`: what else decides its cells (adapters).

    `chat`: whose it is; `rank` as the scheduler's.
    """

    sequence: int
    tokens: Sequence[int]
    group: Hashable = ()
    kept: bool = False
    chat: str = ""
    rank: int = 0


class Match(NamedTuple):
    """Go on after `length` tokens of `sequence`: as its new owner (`take`), or on a copy."""

    sequence: int
    length: int
    take: bool


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with. Slices are compared, which is many times faster than tokens one by one."""
    low, high, step = 0, min(len(one), len(other)), 256
    while low < high and one[low : low + step] == other[low : low + step]:
        low += step
    if low >= high:
        return high
    high = min(high, low + step)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def match(wanted: Held, held: Iterable[Held], *, cuts: bool, reaches: Callable[[int, int], bool]) -> Match | None:
    """The longest beginning of `wanted` that is there; its last token is computed in any case.

    `cuts`: whether a sequence can be used in part; else only as a whole. `reaches(sequence, length)`: whether it still holds what
    the token after `length` looks at (a window of attention may have moved on).
    """
    best: tuple[int, bool, bool] = (SHORTEST - 1, False, False)
    found: Match | None = None
    for one in held:
        if one.group != wanted.group:
            continue
        length = _usable(one.tokens, wanted.tokens)
        if length < max(SHORTEST, best[0]) or (length < len(one.tokens) and not cuts) or not reaches(one.sequence, length):
            continue
        own = one.kept and one.rank >= wanted.rank and bool(one.chat) and one.chat == wanted.chat
        # Others get a copy where something would be lost: cells that become free are taken by rows that run, and attention over
        # cells in another order adds up to something else.
        take = cuts and one.kept and one.rank >= wanted.rank and (own or length == len(one.tokens))
        if (length, take, own) > best:
            best, found = (length, take, own), Match(one.sequence, length, take)
    return found


def worth_waiting_for(wanted: Held, coming: Held, there: int, *, least: int = WORTH_WAITING) -> int:
    """How many first tokens of `wanted` the request `coming` is about to compute; 0 where it isn't worth to wait for them.

    `there`: how many could be had without waiting; `least`: how many more there must be. Nobody waits for a request that comes
    after it in the order of ranks.
    """
    if coming.group != wanted.group or coming.rank > wanted.rank:
        return 0
    length = _usable(coming.tokens, wanted.tokens)
    return length if length - there >= least else 0


def _usable(there: Sequence[int], wanted: Sequence[int]) -> int:
    """What both begin with, but for the last token wanted, and not a part of a picture."""
    return whole(wanted, min(common(there, wanted), len(wanted) - 1))


def clip(lineage: Lineage, length: int) -> Lineage:
    """Of the first `length` tokens."""
    return tuple(part for part in lineage if part[1] < length)


def cells(sequences: Iterable[tuple[Lineage, int]]) -> int:
    """The cells that sequences (lineage, tokens) fill together."""
    return sum(added(sequences))


def added(sequences: Iterable[tuple[Lineage, int]]) -> list[int]:
    """How many cells each has beside those before it."""
    ends: dict[int, int] = {}
    found = []
    for lineage, length in sequences:
        new = 0
        for index, (span, start) in enumerate(lineage):
            end = lineage[index + 1][1] if index + 1 < len(lineage) else length
            known = ends.get(span, start)
            if end > known:
                new += end - known
                ends[span] = end
        found.append(new)
    return found
