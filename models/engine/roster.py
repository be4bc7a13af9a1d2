"""Who runs and who waits: requests are let in and sent out by the scheduler's plan, and leave what they computed to be kept."""

from __future__ import annotations

from collections.abc import Sequence

from models.engine import prefix, scheduler, sight
from models.engine.arrivals import Arrivals
from models.engine.decoding import Decoder
from models.engine.guesses import Guesses
from models.engine.keeping import Keeping
from models.engine.prefix import Lineage
from models.engine.request import Output, Request
from models.engine.scheduler import Limits, Row


class Roster:
    """The requests of one engine, by their ids. `grouped`: whether some of them can't share a batch, for their adapters."""

    def __init__(self, decoder: Decoder, keeping: Keeping, guesses: Guesses, *, grouped: bool) -> None:
        self._decoder, self._keeping, self._guesses, self._grouped = decoder, keeping, guesses, grouped
        self._arrivals = Arrivals(keeping, cuts=decoder.truncates)
        self.running: dict[int, Request] = {}
        self.waiting: dict[int, Request] = {}
        self.cells = decoder.cells  # of the KV cache; fewer, where llama.cpp had less room than was counted
        self.cached_tokens = self.evictions = 0

    @property
    def plain(self) -> bool:
        """Whether nobody waits and all write and have room: then a plan would say no more than that each gets its token."""
        rows = self.running.values()
        plain = not self.waiting and not self._grouped and all(one.pending == 1 and not one.spans for one in rows)
        return plain and sum(len(one.tokens) for one in rows) <= self.cells

    def plan(self, limits: Limits) -> Sequence[tuple[int, int]]:
        """Let in and send out by the scheduler's plan; the tokens that are computed of each request."""
        plan = scheduler.schedule(self._rows(), self._arrivals.rows(self.waiting.values(), self.running.values()), limits)
        for id in plan.evict:
            self._move_out(id)
        for id in plan.admit:
            self._move_in(id)
        # Who was let in may have found most of its prompt.
        return scheduler.share(self._rows(), limits) if plan.admit else plan.work

    def places(self) -> list[Output]:
        """Places in the queue that have changed."""
        return self._arrivals.places(self.waiting.values(), self.running.keys())

    def lineages(self) -> list[tuple[Lineage, int]]:
        """With whom each of those who run shares cells, and how many it has."""
        return [(request.lineage, request.done) for request in self.running.values()]

    def count_less(self) -> None:
        """There is less room than was counted: count less, so that the next step sends somebody out."""
        self.cells = min(self.cells, sum(row.cells + row.pending for row in self._rows()) - 1)

    def end(self, id: int, *, keep: bool = True) -> None:
        """Forget a request; what it computed is kept for others, or is not. Nothing happens when it has ended."""
        request = self.running.pop(id, None) or self.waiting.pop(id, None)
        if request is not None:
            self._leave(request, keep=keep)
            request.chain.close()

    def _rows(self) -> list[Row]:
        """The running requests as the scheduler sees them; cells that several share count for the first of them in its order."""
        requests = sorted(self.running.values(), key=lambda one: (one.rank, one.order))
        cells = prefix.added((one.lineage, one.done) for one in requests)
        return [
            Row(one.id, one.rank, one.order, count, one.pending, one.scales, sight.blocked(one))
            for one, count in zip(requests, cells, strict=True)
        ]

    def _move_in(self, id: int) -> None:
        request = self.waiting.pop(id)
        others = {one.sequence: one for one in self.running.values()}
        place = self._keeping.enter(
            request.wanted, [one.held for one in others.values()], {number: one.lineage for number, one in others.items()}
        )
        request.sequence, request.done, request.lineage, request.place = place.sequence, place.length, place.lineage, 0
        if request.cached < 0:
            request.cached = place.length
            self.cached_tokens += place.length
        if not self._decoder.truncates:
            # The next turn begins with this prompt, the same question asked again needs all of it but the last token, and where it
            # parts from earlier ones others may part too.
            request.stops |= {request.prompt_tokens - 1, self._keeping.parting(request.wanted)}
        self.running[id] = request

    def _move_out(self, id: int) -> None:
        request = self.waiting[id] = self.running.pop(id)
        self._leave(request)
        self.evictions += 1

    def _leave(self, request: Request, *, keep: bool = True) -> None:
        if request.sequence >= 0:
            self._guesses.take_back(request)
            if keep:
                self._keeping.keep(request.sequence, request.held, request.lineage)
            else:
                self._keeping.release(request.sequence)
            request.sequence, request.done, request.lineage = -1, 0, ()
