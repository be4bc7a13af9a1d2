"""Rows that write in a crowd, each in a part of the cache of its own.

In a context whose rows share one cache, each row passes over the cells of all others: sixteen short ones lose a tenth of
their speed to it, eight long ones a third. In a context that is parted among its sequences (`kv_unified` off) they don't; but
nothing can be shared there, no row can be longer than its part, and a part stands empty while nobody writes in it. So there are
two: the wide context, where prompts are read, beginnings are shared and long rows stay, and one with lanes, made when a
crowd first makes it worth its memory, where rows that write move while they are many and short enough. What rows share is their
own: of it nobody passes over more than it needs, and it would be there once for each of them in lanes.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from app.core.errors import BadSetting
from models.engine import prefix
from models.engine.adapters import Scales
from models.engine.decoding import DONE, NO_ROOM, Decoder
from models.engine.interrupt import Switch
from models.engine.prefix import Lineage
from models.engine.sight import Span

log = logging.getLogger(__name__)

FEWEST = 4  # rows that write; fewer pass over little
PAYS, PAYS_APART = 0.03, 0.15  # of a step's time: what must be won, and where rows that don't fit are then computed by themselves
FAILED = -1
Part = tuple[int, int, Sequence[int]]


class Lanes:
    """`wide` with lanes beside it; a `Decoder`. A sequence lies in one of them, and whoever uses it need not know in which.

    `make` opens the parted context of `count` lanes with `length` tokens each (0: there are none); BadSetting where it can't be
    had. `passing`: seconds that it takes one row to pass over one cell. For models without windows, pictures and adapters that can
    go back (`truncates`). There is always room in the wide context for what has moved out of it, as its user counts it; where
    sharing was lost on the way, there may not be, which is `NO_ROOM`.
    """

    def __init__(
        self,
        wide: Decoder,
        make: Callable[[], Decoder],
        *,
        count: int,
        length: int,
        passing: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.sequences, self.batch, self.truncates, self.window = wide.sequences, wide.batch, wide.truncates, wide.window
        self._wide, self._make, self._count, self._length = wide, make, count, length
        self._passing, self._clock = passing, clock
        self._lanes: Decoder | None = None
        self._lane: dict[int, int] = {}  # by sequence
        self._spans = itertools.count()
        self._lineages: dict[int, Lineage] = {}  # by sequence: what it shares with others in the wide context
        self._each = 0.0  # seconds for a token of a crowd

    @property
    def inside(self) -> int:
        """Sequences that lie in lanes."""
        return len(self._lane)

    @property
    def interrupt(self) -> Switch:
        """Ends the batch that is computed, in either context."""
        return self._wide.interrupt

    @property
    def cells(self) -> int:
        """Tokens that the wide context holds: what its user can count on."""
        return self._wide.cells

    def decode(self, parts: Sequence[Part], looks: Sequence[int] = ()) -> tuple[int, list[int]]:
        """As `Decoder.decode`: what lies in lanes after the rest."""
        if not self._lane and len(parts) < FEWEST:
            return self._wide.decode(parts, looks)
        seen = looks or [1] * len(parts)
        if not self._arrange(parts, seen):
            return NO_ROOM, []
        apart = [number for number, (sequence, _, _) in enumerate(parts) if sequence in self._lane]
        together = [number for number, (sequence, _, _) in enumerate(parts) if sequence not in self._lane]
        ends = [0] * len(parts)
        began = self._clock()
        if together:
            status, its = self._wide.decode([parts[number] for number in together], [seen[number] for number in together])
            if status != DONE:
                return status, []
            _place(ends, together, its)
        if apart and self._lanes is not None:
            # By lane: rows in lanes that follow each other are computed at once.
            apart.sort(key=lambda number: self._lane[parts[number][0]])
            moved = [(self._lane[parts[number][0]], *parts[number][1:]) for number in apart]
            status, its = self._lanes.decode(moved, [seen[number] for number in apart])
            if status != DONE:
                # The others are computed by now, so this is not "nothing has changed".
                return FAILED if status == NO_ROOM else status, []
            _place(ends, apart, [self.batch + end for end in its])
        if len(parts) >= FEWEST:
            each = (self._clock() - began) / sum(len(tokens) for _, _, tokens in parts)
            self._each = self._each + (each - self._each) / 4 if self._each else each
        return DONE, ends

    def see(self, sequence: int, span: Span, offset: int, rows: Any) -> int:
        """As `Decoder.see`, in the wide context."""
        return self._wide.see(sequence, span, offset, rows)

    def spare(self, threads: int) -> None:
        """As `Decoder.spare`."""
        self._wide.spare(threads)

    def sample(self, chain: Any, index: int) -> int:
        """As `Decoder.sample`."""
        decoder, index = self._behind(index)
        return decoder.sample(chain, index)

    def scores(self, index: int) -> Any:
        """As `Decoder.scores`."""
        decoder, index = self._behind(index)
        return decoder.scores(index)

    def adapt(self, scales: Scales) -> None:
        """As `Decoder.adapt`, in the wide context."""
        self._wide.adapt(scales)

    def forget(self, sequence: int) -> None:
        """As `Decoder.forget`."""
        if (lane := self._lane.pop(sequence, None)) is not None and self._lanes is not None:
            self._lanes.forget(lane)
        self._lineages.pop(sequence, None)
        self._wide.forget(sequence)

    def truncate(self, sequence: int, length: int) -> bool:
        """As `Decoder.truncate`."""
        decoder, number = self._of(sequence)
        return decoder.truncate(number, length)

    def copy(self, sequence: int, other: int, length: int) -> bool:
        """As `Decoder.copy`; out of a lane it is a copy that has cells of its own."""
        if sequence not in self._lane:
            self._lineages[other] = (*prefix.clip(self._lineage(sequence), length), (next(self._spans), length))
            return self._wide.copy(sequence, other, length)
        if self.restore(other, self.save(sequence)) and self._wide.truncate(other, length):
            return True
        self._wide.forget(other)
        return False

    def first(self, sequence: int) -> int:
        """As `Decoder.first`."""
        decoder, number = self._of(sequence)
        return decoder.first(number)

    def save(self, sequence: int) -> bytes:
        """As `Decoder.save`."""
        decoder, number = self._of(sequence)
        return decoder.save(number)

    def restore(self, sequence: int, state: bytes) -> bool:
        """As `Decoder.restore`, into the wide context."""
        self._lineages.pop(sequence, None)
        return self._wide.restore(sequence, state)

    def _of(self, sequence: int) -> tuple[Decoder, int]:
        lane = self._lane.get(sequence)
        return (self._wide, sequence) if lane is None or self._lanes is None else (self._lanes, lane)

    def _behind(self, index: int) -> tuple[Decoder, int]:
        return (self._wide, index) if index < self.batch or self._lanes is None else (self._lanes, index - self.batch)

    def _arrange(self, parts: Sequence[Part], seen: Sequence[int]) -> bool:
        """Bring those who are to be computed to where they are computed best; False where the wide context has no room for one."""
        chosen = self._chosen(parts, seen)
        if chosen and not self._opened():
            chosen = []
        if not all(self._home(sequence) for sequence, _, _ in parts if sequence in self._lane and sequence not in chosen):
            return False
        # Lanes in use follow each other from the first on: llama.cpp computes others in several goes.
        for idle in [one for one, lane in self._lane.items() if lane < len(chosen) and one not in chosen]:
            if not self._home(idle):
                return False
        free = sorted(set(range(len(chosen))) - set(self._lane.values()))
        late = [one for one in chosen if self._lane.get(one, self._count) >= len(chosen)]
        for sequence, lane in zip(late, free, strict=True):
            self._enter(sequence, lane)
        return True

    def _chosen(self, parts: Sequence[Part], seen: Sequence[int]) -> list[int]:
        """The sequences of `parts` that are to be computed in lanes: all rows that write and are short enough, or none.

        A single token after which nobody looks is one of a prompt.
        """
        writing = [(sequence, index) for (sequence, index, tokens), looks in zip(parts, seen, strict=True) if len(tokens) == 1 and looks]
        short = [sequence for sequence, index in writing if index < self._length][: self._count]
        all_short = len(short) == len(writing)
        worth = PAYS if all_short else PAYS_APART
        if 2 * sum(sequence in self._lane for sequence in short) > len(short):
            # Most are there: moving has its price too.
            worth = 0.0 if all_short else worth / 2
        elif len(short) < FEWEST:
            return []
        return short if short and self._won(parts, len(short)) >= worth else []

    def _won(self, parts: Sequence[Part], rows: int) -> float:
        """The part of a step that so many rows pass over the others in."""
        if not self._each:
            return 0.0
        held = [(self._lineage(sequence), index + len(tokens)) for sequence, index, tokens in parts]
        # What they fill together but for what one of them has itself, as far as those who would move make it.
        cells = prefix.cells(held) - sum(length for _, length in held) / len(held)
        others = cells * (rows - 1) / max(1, len(parts) - 1)
        return rows * others * self._passing / (self._each * sum(len(tokens) for _, _, tokens in parts))

    def _opened(self) -> bool:
        if self._lanes is None and self._count:
            try:
                self._lanes = self._make()
            except BadSetting as error:
                log.info("rows that write stay together: %s", error)
                self._count = 0
        return self._lanes is not None

    def _home(self, sequence: int) -> bool:
        """Out of its lane; where that fails, it is where it was."""
        assert self._lanes is not None, "nothing lies in lanes that aren't there"
        if not self._wide.restore(sequence, self._lanes.save(self._lane[sequence])):
            return False
        self._lanes.forget(self._lane.pop(sequence))
        return True

    def _lineage(self, sequence: int) -> Lineage:
        """Of cells that are its own, where it was copied from no other."""
        return self._lineages.setdefault(sequence, ((next(self._spans), 0),))

    def _enter(self, sequence: int, lane: int) -> None:
        """Into an empty lane; where that fails, it is where it was."""
        assert self._lanes is not None, "they were opened before"
        decoder, number = self._of(sequence)
        if self._lanes.restore(lane, decoder.save(number)):
            decoder.forget(number)
            self._lineages.pop(sequence, None)
            self._lane[sequence] = lane
        else:
            log.warning("a row can't be moved to a lane: rows that write stay together from now on")
            self._count = 0


def _place(ends: list[int], numbers: Sequence[int], found: Sequence[int]) -> None:
    for number, end in zip(numbers, found, strict=True):
        ends[number] = end
