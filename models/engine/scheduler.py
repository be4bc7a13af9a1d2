"""What one step of the engine does: who is let in, who has to make room, and how many tokens of whom are computed.

Pure functions over frozen values. The order of everything is (rank, order): a person's chat before a task before bulk
work, and the older request first. The first in that order always gets on, so nothing can block everything.

- Every row that generates gets its token in every step. What is left of the step goes to prompts, rank after rank: half of it at
  least to the oldest of a rank, the rest to the shortest, so that none waits for a long one to be read.
- A row that runs owns the cells that it fills and those that its waiting tokens will fill. When all rows together need more
  than there are, the last in the order gives its cells back and waits; its tokens are computed again later.
- Rows of another group (other adapters over the weights) can't share a batch: where there are several, each step is one group's,
  in turn.
- The head of the queue is let in when a slot and its cells are free, or when rows of a *lower rank* can make room.
  Nobody overtakes the head: a long prompt doesn't starve behind short ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import NamedTuple

SLACK = 64  # cells kept free when a request is let in beside others, so that it isn't sent out again at once
SMALLEST_CHUNK = 2  # one for the oldest prompt, one for the shortest
FIRST_CHUNK = 32  # until a speed was measured: on a slow machine a full batch can take a minute


class Row(NamedTuple):
    """A request as the scheduler sees it. `cells`: tokens in the KV cache; `pending`: tokens still to compute (1: it generates).

    Only rows of one `group` are computed together, and none of them that is `blocked`: it waits for something else.
    """

    id: int
    rank: int
    order: int
    cells: int
    pending: int
    group: Hashable = 0
    blocked: bool = False


class Limits(NamedTuple):
    """What a step may use: sequence slots, cells of the KV cache, tokens in one batch, and tokens of prompts beside rows that generate.

    `turn` grows with each step: whose group's it is, where there are several.
    """

    slots: int
    cells: int
    batch: int
    chunk: int
    turn: int = 0


class Plan(NamedTuple):
    """What to do, in this order: send out, let in, compute `(id, tokens)`."""

    evict: tuple[int, ...]
    admit: tuple[int, ...]
    work: tuple[tuple[int, int], ...]


def schedule(running: Sequence[Row], waiting: Sequence[Row], limits: Limits) -> Plan:
    """The plan of one step. Rows sent out in this plan are not let in by it."""
    rows = sorted(running, key=_place)
    evict: list[int] = []
    while len(rows) > 1 and _need(rows) > limits.cells:
        evict.append(rows.pop().id)
    admit: list[int] = []
    # A row that had to go is older than what waits behind it: nobody comes in until it may.
    for head in [] if evict else sorted(waiting, key=_place):
        stay = _room_for(head, rows, limits)
        if stay is None:
            break
        evict += [row.id for row in rows[stay:]]
        rows = sorted([*rows[:stay], head], key=_place)
        admit.append(head.id)
    return Plan(tuple(evict), tuple(admit), share(rows, limits))


def chunk(seconds_per_token: float, target: float, largest: int, smallest: int = SMALLEST_CHUNK) -> int:
    """Tokens of prompts in one step so that it takes about `target` seconds.

    A power of two, or below `FIRST_CHUNK` three halves of one, so that small changes of the measured speed don't move the places where
    prompts are cut.
    """
    if seconds_per_token <= 0:
        return min(largest, FIRST_CHUNK)
    fitting = max(smallest, int(target / seconds_per_token))
    power = 1 << (fitting.bit_length() - 1)
    between = power * 3 // 2
    return int(min(largest, between if power < FIRST_CHUNK and between <= fitting else power))


def _place(row: Row) -> tuple[int, int]:
    return row.rank, row.order


def _need(rows: Sequence[Row]) -> int:
    return sum(row.cells + row.pending for row in rows)


def _room_for(head: Row, rows: Sequence[Row], limits: Limits) -> int | None:
    """How many of `rows` (in order) may stay when `head` comes in; None where even all lower ranks leaving is not enough."""
    for stay in range(len(rows), -1, -1):
        if stay < len(rows) and rows[stay].rank <= head.rank:
            return None
        slack = SLACK if stay else 0
        if stay < limits.slots and _need(rows[:stay]) + head.pending + slack <= limits.cells:
            return stay
    return 0 if not rows else None


def _together(rows: Sequence[Row], turn: int) -> Sequence[Row]:
    """The rows of the group whose turn it is."""
    groups = list(dict.fromkeys(row.group for row in rows))
    return rows if len(groups) < 2 else [row for row in rows if row.group == groups[turn % len(groups)]]


def share(rows: Sequence[Row], limits: Limits) -> tuple[tuple[int, int], ...]:
    """Of these rows, those that generate first, then prompts until the step is full."""
    rows = _together(sorted((row for row in rows if not row.blocked), key=_place), limits.turn)
    work = [(row.id, 1) for row in rows if row.pending == 1]
    left = min(limits.chunk, limits.batch - len(work)) if work else limits.batch
    for _, prompts in groupby((row for row in rows if row.pending > 1), key=lambda row: row.rank):
        parts = _parts(list(prompts), left)
        work += parts
        left -= sum(count for _, count in parts)
    return tuple(work)


def _parts(prompts: Sequence[Row], room: int) -> list[tuple[int, int]]:
    """Tokens of prompts of one rank, which come in their order: at least half of the room is the first one's.

    The rest goes to the shortest: a short question behind a long document is answered soon, and the document loses next to nothing.
    """
    parts = {prompts[0].id: min(prompts[0].pending, -(-room // 2))}
    left = room - parts[prompts[0].id]
    for row in sorted(prompts, key=lambda row: row.pending):
        count = min(row.pending - parts.get(row.id, 0), left)
        parts[row.id] = parts.get(row.id, 0) + count
        left -= count
    return [(id, count) for id, count in parts.items() if count]
