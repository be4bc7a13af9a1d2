"""The sequences of a context, those in use and those that are kept for a request to come.

A request that ends leaves its tokens in the cache. A later one that begins with them goes on from there: it takes the sequence
over, or gets a copy of its beginning (which costs no cells; the two share them). Kept cells count as free: `make_room` and a lack
of sequences drop the least valuable first, tasks' leftovers before chats', and cut a long one's end off where that is enough.
What a chat loses that way goes to the shelf, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import msgspec

from models.engine import prefix
from models.engine.decoding import Decoder
from models.engine.images import whole
from models.engine.prefix import Held, Lineage
from models.engine.shelf import Shelf

LEAST_PARKED = 128  # tokens that are worth their place on the shelf
AGING = 600.0  # seconds after which something unused is worth half as much
GATHERED = 512  # tokens that are moved at once: what a step notices is the time of their copies
TRIM = 256  # tokens that are cut off a kept sequence beyond what is needed now, so that this isn't done at every step


class Place(msgspec.Struct, frozen=True):
    """Where a request goes on: its sequence, how many tokens are there already, and of whom."""

    sequence: int
    length: int = 0
    lineage: Lineage = ()


class Kept(msgspec.Struct):
    """A sequence that nobody runs on. `at`: when it was used last; `uses`: how often others went on from it.

    `shelved`: the shelf has it too; `gathered`: its cells lie side by side.
    """

    tokens: Sequence[int]
    lineage: Lineage
    group: Hashable
    chat: str
    rank: int
    at: float
    uses: int = 0
    shelved: bool = False
    gathered: bool = False


class Keeping:
    """Sequences of `decoder` by number; `limit` cells at most are kept, and `beside` requests that run. For the engine's thread."""

    def __init__(
        self,
        decoder: Decoder,
        *,
        clock: Callable[[], float],
        shelf: Shelf | None = None,
        limit: int | None = None,
        beside: int | None = None,
    ) -> None:
        self._decoder, self._clock, self._shelf = decoder, clock, shelf
        self._limit = decoder.cells if limit is None else limit
        self._beside = self._limit if beside is None else beside
        self._free = set(range(decoder.sequences))
        self._kept: dict[int, Kept] = {}
        self._spans = 0

    @property
    def held(self) -> list[Held]:
        """What is kept, as `prefix.match` looks at it."""
        return [Held(number, one.tokens, one.group, True, one.chat, one.rank) for number, one in self._kept.items()]

    def cells(self, running: Iterable[tuple[Lineage, int]]) -> int:
        """Cells in use, and kept beside them."""
        return prefix.cells([*running, *((one.lineage, len(one.tokens)) for one in self._kept.values())])

    def there(self, wanted: Held, running: Iterable[Held]) -> prefix.Match | None:
        """The best that `wanted` could go on from now."""
        return prefix.match(wanted, [*self.held, *running], cuts=self._decoder.truncates, reaches=self._reaches)

    def parting(self, wanted: Held) -> int:
        """Where `wanted` parts from the one that is most like it of all that are kept; 0 where that is too early to matter."""
        alike = (prefix.common(one.tokens, wanted.tokens) for one in self._kept.values() if one.group == wanted.group)
        length = whole(wanted.tokens, min(max(alike, default=0), len(wanted.tokens) - 1))
        return length if length >= prefix.WORTH_WAITING else 0

    def enter(self, wanted: Held, running: Sequence[Held], lineages: dict[int, Lineage]) -> Place:
        """A sequence for a request, with as many of its tokens as are there. `lineages`: of those that run."""
        found = self.there(wanted, running)
        busy = [(lineages[one.sequence], len(one.tokens)) for one in running]
        if self._unshelve(wanted, found.length if found else 0, busy):
            found = self.there(wanted, running)
        if found is None:
            return Place(self._number(), 0, self.begin())
        kept = self._kept.get(found.sequence)
        lineage = prefix.clip(kept.lineage if kept else lineages[found.sequence], found.length)
        if kept is not None:
            kept.at, kept.uses = self._clock(), kept.uses + 1
        if found.take and kept is not None:
            del self._kept[found.sequence]
            if self._decoder.truncate(found.sequence, found.length):
                return self._grown(found.sequence, found.length, lineage)
            self._decoder.forget(found.sequence)
            return Place(found.sequence, 0, self.begin())
        number = self._number(spare=found.sequence)
        if not self._decoder.copy(found.sequence, number, found.length):
            return Place(number, 0, self.begin())
        return self._grown(number, found.length, lineage)

    def begin(self) -> Lineage:
        """The lineage of a sequence that holds nothing yet."""
        return self._grown(0, 0, ()).lineage

    def keep(self, number: int, wanted: Held, lineage: Lineage) -> None:
        """A request has left its sequence: its tokens stay, as long as there is room."""
        if len(wanted.tokens) < prefix.SHORTEST or not self._limit:
            self.release(number)
            return
        self._drop_what_is_in(wanted)
        self._kept[number] = Kept(wanted.tokens, lineage, wanted.group, wanted.chat, wanted.rank, self._clock())
        while self._kept and self.cells(()) > self._limit:
            self._drop(self._least())

    def checkpoint(self, wanted: Held, lineage: Lineage) -> None:
        """Keep a copy of a running sequence as it stands, for models that can't go back; never in the place of a higher rank's."""
        least = self._least() if self._kept else None
        room = bool(self._free) or (least is not None and self._kept[least].rank >= wanted.rank)
        if len(wanted.tokens) < prefix.SHORTEST or not self._limit or not room:
            return
        number = self._number()
        if not self._decoder.copy(wanted.sequence, number, len(wanted.tokens)):
            self._free.add(number)
            return
        self._kept[number] = Kept(wanted.tokens, lineage, wanted.group, wanted.chat, wanted.rank, self._clock())

    def release(self, number: int) -> None:
        """Forget a sequence."""
        self._decoder.forget(number)
        self._free.add(number)

    def make_room(self, running: Sequence[tuple[Lineage, int]], wanted: int, cells: int) -> None:
        """See to it that `wanted` of the context's cells are free, and that those who run don't look at too many that aren't theirs."""
        own, dropped = prefix.cells(running), False
        while self._kept and self.cells(running) - own > self._beside:
            self._drop(self._least())
            dropped = True
        if dropped:
            self._gather(running)
        while self._kept and (over := self.cells(running) + wanted - cells) > 0:
            number = self._least()
            one = self._kept[number]
            left = whole(one.tokens, max(0, len(one.tokens) - over - TRIM))
            if not (self._decoder.truncates and left >= LEAST_PARKED and self._alone(number, running) > over):
                self._drop(number)
                continue
            self._park(one, number)
            if self._decoder.truncate(number, left):
                one.tokens, one.lineage = one.tokens[:left], prefix.clip(one.lineage, left)
            else:
                self._drop(number)

    def _gather(self, running: Sequence[tuple[Lineage, int]]) -> None:
        """What is left of a crowd lies all over the cache, and rows scan it up to the last cell in use: move it together, to the front."""
        if not self._decoder.truncates or self._decoder.window:
            return
        states, room = dict[int, bytes](), GATHERED
        for number, one in self._kept.items():
            if not one.gathered and len(one.tokens) <= room and self._alone(number, running) == len(one.tokens):
                states[number], room = self._decoder.save(number), room - len(one.tokens)
        for number in states:
            self._decoder.forget(number)
        for number, state in states.items():
            self._kept[number].gathered = bool(state) and self._decoder.restore(number, state)
            if not self._kept[number].gathered:
                del self._kept[number]
                self.release(number)

    def clear(self) -> bool:
        """Drop everything that is kept; False where nothing was."""
        some = bool(self._kept)
        for number in list(self._kept):
            self._drop(number)
        return some

    def save(self) -> bool:
        """Put a chat that isn't there yet on the shelf, or write one of the shelf's to the disk; False when all is done."""
        if self._shelf is None:
            return False
        for number, one in self._kept.items():
            if self._worth_parking(one):
                self._park(one, number)
                return True
        return self._shelf.save()

    def _grown(self, number: int, length: int, lineage: Lineage) -> Place:
        """What is computed from now on is a span of its own."""
        self._spans += 1
        return Place(number, length, (*lineage, (self._spans, length)))

    def _reaches(self, sequence: int, length: int) -> bool:
        window = self._decoder.window
        return not window or self._decoder.first(sequence) <= max(0, length - window)

    def _number(self, spare: int = -1) -> int:
        if not self._free:
            self._drop(self._least(spare))
        number = min(self._free)
        self._free.remove(number)
        return number

    def _drop_what_is_in(self, wanted: Held) -> None:
        """A sequence that is the beginning of another one is worth nothing, where sequences can be cut."""
        for number, one in list(self._kept.items()):
            of_use = not self._decoder.truncates or one.group != wanted.group or one.rank < wanted.rank
            if not of_use and prefix.common(one.tokens, wanted.tokens) == len(one.tokens):
                del self._kept[number]
                self.release(number)

    def _alone(self, number: int, running: Sequence[tuple[Lineage, int]]) -> int:
        """Cells that would be free without it."""
        others = [(one.lineage, len(one.tokens)) for other, one in self._kept.items() if other != number]
        one = self._kept[number]
        return prefix.added([*running, *others, (one.lineage, len(one.tokens))])[-1]

    def _least(self, spare: int = -1) -> int:
        """Whose loss costs least: a lower rank's, then what is short, old and little used."""
        now = self._clock()

        def value(number: int) -> tuple[int, float]:
            one = self._kept[number]
            worth = len(one.tokens) * (1 + min(one.uses, 8)) * 0.5 ** ((now - one.at) / AGING)
            return -one.rank, worth

        return min((number for number in self._kept if number != spare or len(self._kept) == 1), key=value)

    def _drop(self, number: int) -> None:
        one = self._kept.pop(number)
        self._park(one, number)
        self.release(number)

    def _worth_parking(self, one: Kept) -> bool:
        return self._shelf is not None and not one.shelved and one.rank == 0 and len(one.tokens) >= LEAST_PARKED

    def _park(self, one: Kept, number: int) -> None:
        if self._shelf is not None and self._worth_parking(one):
            one.shelved = True
            self._shelf.put(one.tokens, one.group, lambda: self._decoder.save(number))

    def _unshelve(self, wanted: Held, there: int, running: Sequence[tuple[Lineage, int]]) -> bool:
        """Bring what begins as `wanted` does back into the cache, where the shelf has more of it than the cache, and there is room."""
        if self._shelf is None:
            return False
        found = self._shelf.find(wanted.tokens, wanted.group, cuts=self._decoder.truncates)
        if found is None or found.length - there < LEAST_PARKED or prefix.cells(running) + len(found.tokens) > self._decoder.cells:
            return False
        data = self._shelf.read(found.name)
        if data is None:
            return False
        self.make_room(running, len(found.tokens), self._decoder.cells)
        number = self._number()
        if not self._decoder.restore(number, data):
            self._shelf.remove(found.name)
            self.release(number)
            return False
        self._kept[number] = Kept(found.tokens, self.begin(), wanted.group, wanted.chat, wanted.rank, self._clock(), shelved=True)
        return True
