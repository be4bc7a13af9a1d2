"""Which sources begin now. Pure: the book's sources, what runs, what changed and what was asked for in; an order of beginnings out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ingest.keeping.kept import Kept, Key
from ingest.keeping.schedule import BACK_OFF, next_run

AT_ONCE = 2
"""Runs of different stores at the same time: more would only make each slower."""


class Now(NamedTuple):
    """The moment: the clock (may jump), and what stands beside the book. `resting`: not to be begun again yet."""

    time: float
    running: Collection[Key] = ()
    asked: Collection[Key] = ()
    changed: Collection[Key] = ()
    resting: Collection[Key] = ()


def begin(kept: Sequence[Kept], now: Now, at_once: int = AT_ONCE) -> list[Key]:
    """In this order: what somebody asked for, then the most overdue. One run of a store at a time, never two of the same source."""
    busy = {key.store for key in now.running} | {one.key.store for one in kept if one.alive}
    wanted = [(when, number, one.key) for number, one in enumerate(kept) if (when := _wanted(one, now)) is not None]
    found: list[Key] = []
    for _, _, key in sorted(wanted, key=lambda entry: entry[:2]):
        if len(now.running) + len(found) >= at_once:
            break
        if key.store not in busy:
            busy.add(key.store)
            found.append(key)
    return found


def next_runs(kept: Sequence[Kept], now: float) -> Mapping[Key, float]:
    """When each source is due, where it ever is."""
    return {one.key: at for one in kept if (at := next_run(one.schedule, one.past, now)) is not None}


def _wanted(one: Kept, now: Now) -> float | None:
    """Since when it should run; None: not now."""
    if one.key in now.asked:
        return float("-inf")
    if one.key in now.resting:
        return None
    if one.key in now.changed and _may_follow(one, now.time):
        return now.time
    due = next_run(one.schedule, one.past, now.time)
    return due if due is not None and due <= now.time else None


def _may_follow(one: Kept, now: float) -> bool:
    """A folder whose last run failed is not run again at each of its changes."""
    ended = max((at for at in (one.past.started, one.past.finished) if at is not None), default=0.0)
    return not one.past.failed_runs or not ended <= now < ended + BACK_OFF
