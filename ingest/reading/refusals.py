"""Why a file's reading was ended, in words that say what to do."""

from __future__ import annotations

from typing import Literal

from app.core.errors import ItemError
from ingest.readers.contract import Limits

End = Literal["crashed", "memory", "slow"]


class Ended(Exception):
    """The reading process is no more: of itself (`crashed`), or because it was ended above its memory or its time."""

    def __init__(self, why: End, how: str = "") -> None:
        self.why, self.how = why, how
        super().__init__(f"{why} {how}".strip())


def reason(end: Ended, limits: Limits) -> ItemError:
    """What the file under its hands is told to have done."""
    if end.why == "memory":
        return too_much_memory(limits)
    return too_slow(limits) if end.why == "slow" else crashed(end.how)


def too_much_memory(limits: Limits) -> ItemError:
    """It took more memory than a file may."""
    return ItemError(
        f"needs more than {limits.memory_bytes / 1_000_000:g} MB of memory to be read.",
        hint="Split it, or raise ingest.read_memory_megabytes in the configuration.",
    )


def too_slow(limits: Limits) -> ItemError:
    """It took more time than a file may."""
    return ItemError(
        f"needs more than {limits.seconds:g} s to be read.",
        hint="Split it, or raise ingest.read_seconds in the configuration.",
    )


def crashed(how: str) -> ItemError:
    """Its reader brought the whole process down. `how` the process ended, in words."""
    return ItemError(
        f"could not be read: the process that read it ended {how}.",
        hint="It is probably damaged: open it in its own program and save it again.",
    )
