"""The doorway to cronsim: cron lines in the machine's own time, over days with 23 and 25 hours."""

from __future__ import annotations

from datetime import datetime, tzinfo

from app.core.errors import BadRequest


def checked(line: str, now: float) -> str:
    """The line, tidied. BadRequest where it is none, or where no such moment ever comes."""
    tidy = " ".join(line.split())
    try:
        found = next_after(tidy, now)
    except ValueError as error:
        raise BadRequest(
            f'"{line}" is no cron line: {error}.',
            hint='Five fields, "minute hour day month weekday": "0 3 * * *" is three at night.',
            param="cron",
        ) from None
    if found is None:
        raise BadRequest(f'"{line}" names a moment that never comes.', hint='"0 3 * * *" is three at night.', param="cron")
    return tidy


def next_after(line: str, after: float, zone: tzinfo | None = None) -> float | None:
    """The first moment of the line later than `after`; None where there is none. ValueError: it is no cron line.

    `zone` None is the machine's. An hour that a clock change skips comes at its end; one that comes twice counts once.
    """
    from cronsim import CronSim, CronSimError

    # Over local times without a zone: what the owner reads on the clock is what is meant, also on the days when it changes.
    local = datetime.fromtimestamp(after, zone).replace(tzinfo=None)
    try:
        for moment in CronSim(line, local):
            for fold in (0, 1):
                at = moment.replace(tzinfo=zone, fold=fold).timestamp()
                if at > after:
                    return at
    except CronSimError as error:
        raise ValueError(str(error).lower() or "it is malformed") from None
    return None
