"""Who waits, and who of them would do better to wait a moment longer: for tokens that another request is about to compute."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.core.records import Waiting
from models.engine import prefix
from models.engine.keeping import Keeping
from models.engine.request import Output, Request
from models.engine.scheduler import Row


class Arrivals:
    """The order of those who wait. `cuts`: whether the model's sequences can be used in part."""

    def __init__(self, keeping: Keeping, *, cuts: bool) -> None:
        self._keeping, self._cuts = keeping, cuts
        self._outside: dict[int, int] = {}

    def rows(self, waiting: Collection[Request], running: Collection[Request]) -> list[Row]:
        """Who waits to be let in, as the scheduler sees them; not those who wait outside for what another one is about to compute."""
        before, self._outside = self._outside, {}
        rows = []
        held = [request.held for request in running] if waiting else []
        computing = [one for one in running if one.done < one.prompt_tokens]
        for request in sorted(waiting, key=_order):
            there = self._keeping.there(request.wanted, held)
            length = there.length if there else 0
            first = self._first(request, computing, length, before.get(request.id))
            if first is not None:
                self._outside[request.id] = first
                continue
            computing.append(request)
            shared = length if there and any(one.sequence == there.sequence for one in held) else 0
            rows.append(Row(request.id, request.rank, request.order, 0, len(request.tokens) - shared, request.scales))
        return rows

    def places(self, waiting: Collection[Request], running: Collection[int]) -> list[Output]:
        """Who waits for a place and has nothing to read yet is told which, when it has changed."""
        outputs = []
        for place, request in enumerate(sorted(waiting, key=_order), start=1):
            if request.place != place and not request.chosen and self._outside.get(request.id) not in running:
                request.place = place
                outputs.append(Output(request.id, Waiting("queued", place=place)))
        return outputs

    def _first(self, request: Request, computing: Sequence[Request], there: int, before: int | None) -> int | None:
        """The request that is about to compute what this one begins with, where it is worth to wait for that (still, for `before`)."""
        for other in computing:
            least = 1 if other.id == before else prefix.WORTH_WAITING
            length = prefix.worth_waiting_for(request.wanted, other.coming, there, least=least)
            if length > other.done:
                if not self._cuts:
                    other.stops.add(length)
                return other.id
        return None


def _order(request: Request) -> tuple[int, int]:
    return request.rank, request.order
