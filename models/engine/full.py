"""What somebody is told for whom a queue has no place."""

from __future__ import annotations

from app.core.errors import Busy


def busy(waiting: int) -> Busy:
    """The error, where so many wait already. Each of them makes it a quarter of a second more until it is worth another try."""
    told = {0: "All places are taken", 1: "1 request is waiting"}.get(waiting, f"{waiting} requests are waiting")
    return Busy(f"{told}.", retry_after=1.0 + waiting / 4, hint="Try again soon.")
