"""When a source is read again by itself: what its owner chose, and the moment that follows from it. Pure.

Times are seconds since 1970 by the machine's clock, which may jump and which stands still for nobody while the machine sleeps:
what was missed is made up for once, and a run that seems to lie in the future (the clock was set back) counts as long ago.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from app.core.errors import BadRequest
from ingest.keeping import cron

Outcome = Literal["", "running", "ok", "failed", "interrupted"]

LEAST_EVERY = 10.0
SCAN_SECONDS = 600.0
"""A folder that is watched is looked through so often all the same: events can be lost, and network drives send none."""
REST_SECONDS = 10.0
"""Between the end of a run and the next, where a run takes longer than its interval."""
CLOCK_SLACK = 5.0
BACK_OFF, BACK_OFF_CAP = 60.0, 3600.0
ITEM_BACK_OFF, ITEM_BACK_OFF_CAP = 300.0, 86_400.0
SET_ASIDE_AFTER = 8
"""Attempts (about ten hours) after which an item that fails is no longer tried until it changes or somebody asks for it."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_NAMES = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_EVERY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", re.IGNORECASE)


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """`every` seconds, or by `cron` (five fields, the machine's own time), or `on_change` of a folder. `since`: when it was chosen."""

    every: float = 0.0
    cron: str = ""
    on_change: bool = False
    since: float = 0.0

    @property
    def words(self) -> str:
        """For people."""
        parts = ["on change"] if self.on_change else []
        if self.every:
            parts.append(f"every {_spell(self.every)}")
        if self.cron:
            parts.append(f"at {self.cron} (cron)")
        return " and ".join(parts)


class Past(msgspec.Struct, frozen=True):
    """What is known of a source's runs. `failed_runs`: failures in a row, the last one among them. `chance` 0..1 spreads the next tries."""

    started: float | None = None
    finished: float | None = None
    good: float | None = None
    outcome: Outcome = ""
    failed_runs: int = 0
    chance: float = 0.5


def make_schedule(
    every: str = "", cron_line: str = "", *, on_change: bool = False, kind: str = "files", now: float = 0.0
) -> Schedule | None:
    """From what somebody typed; None where nothing was. BadRequest says what can be typed."""
    if every and cron_line:
        raise BadRequest("A source is read every so often or by cron, not both.", hint="Leave --every or --cron out.", param="every")
    if cron_line and on_change:
        raise BadRequest(
            "A source that is read on change has no cron.", hint="Use --every beside --on-change for its regular look.", param="cron"
        )
    if on_change and kind != "files":
        raise BadRequest("Only folders and files of this machine tell of changes.", hint="Choose --every 1m, say.", param="on_change")
    if not (every or cron_line or on_change):
        return None
    return Schedule(seconds(every) if every else 0.0, cron.checked(cron_line, now) if cron_line else "", on_change, now)


def seconds(text: str) -> float:
    """Of "90s", "15m", "2h", "1d". BadRequest for anything else, and for less than ten seconds."""
    found = _EVERY.fullmatch(text)
    if found is None:
        raise BadRequest(f'"{text}" is no interval.', hint="Write 30s, 15m, 2h or 1d.", param="every")
    value = float(found[1]) * _UNITS[found[2].lower()]
    if not LEAST_EVERY <= value <= 366 * 86_400:
        raise BadRequest(f'"{text}" is too short or too long an interval.', hint="From 10s to 366d.", param="every")
    return value


def next_run(schedule: Schedule | None, past: Past, now: float) -> float | None:
    """When it is due, perhaps in the past; None: never by itself."""
    if schedule is None:
        return None
    last = [at for at in (past.started, past.finished) if at is not None]
    if past.started is None or max(last) > now + CLOCK_SLACK:
        return now
    ended = max(last)
    if past.failed_runs:
        return ended + back_off(past.failed_runs, past.chance)
    if schedule.cron:
        chosen = schedule.since if schedule.since <= now else 0.0
        return cron.next_after(schedule.cron, max(past.started, chosen))
    every = schedule.every or SCAN_SECONDS
    return max(past.started + every, ended + min(every, REST_SECONDS))


def behind(schedule: Schedule | None, past: Past, now: float) -> float:
    """Seconds that its newest good state is older than its schedule wants; 0 where it keeps to it."""
    if schedule is None:
        return 0.0
    if past.good is None:
        return 0.0 if past.started is None else max(0.0, now - past.started)
    due = next_run(schedule, Past(past.good, past.good), now)
    return max(0.0, now - due) if due is not None else 0.0


def back_off(failures: int, chance: float, base: float = BACK_OFF, cap: float = BACK_OFF_CAP) -> float:
    """Seconds to the next try: doubled each time up to a cap; sources that failed at one moment don't come back at one moment."""
    doubled: float = base * 2.0 ** min(max(failures, 1) - 1, 30)
    return min(cap, doubled) * (0.8 + 0.4 * chance)


def next_try(attempts: int, now: float, chance: float) -> float | None:
    """When an item that failed so often is read again; None: it is set aside."""
    if attempts >= SET_ASIDE_AFTER:
        return None
    return now + back_off(attempts, chance, ITEM_BACK_OFF, ITEM_BACK_OFF_CAP)


def may_try(last_at: float, next_at: float | None, now: float) -> bool:
    """Whether an unchanged item that failed may be read again; also where its last try seems to lie in the future."""
    if next_at is None:
        return False
    return now >= next_at or last_at > now + CLOCK_SLACK


def from_plain(value: Any) -> Schedule | None:
    """As the book keeps it; None where nothing (or nothing that this version knows) was chosen."""
    try:
        return msgspec.convert(value, Schedule) if value else None
    except msgspec.ValidationError:
        return None


def _spell(value: float) -> str:
    name, unit = next((name, unit) for name, unit in _NAMES if (value >= unit and value % unit == 0) or unit == 1.0)
    count = value / unit
    return f"{count:g} {name if count != 1 else name[:-1]}"
