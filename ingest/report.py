"""What a run tells: events while it goes on, a report at its end. `msgspec.json` makes JSON lines of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ingest.documents import Failed


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=lambda name: name.lower()):
    """News of a run, for a progress bar or a JSON line: `{"event": "committed", ...}`."""


class Waiting(Event, frozen=True):
    """Another process writes this store; the run goes on when it ends."""

    store: str
    holder: str


class Compared(Event, frozen=True):
    """So many rows of a table were compared with what the store holds; how many there are is not known yet."""

    store: str
    source: str
    rows: int


class Started(Event, frozen=True):
    """A source is being read. `total` items (files or rows) where that is known beforehand."""

    store: str
    source: str
    total: int | None = None


class Committed(Event, frozen=True):
    """These counts of the source are on the disk. `items` of Started's `total` are behind: nothing of them is left to write."""

    store: str
    source: str
    items: int
    documents: int
    chunks: int
    embedded: int
    deleted: int = 0


class ItemFailed(Event, frozen=True):
    """One item could not be read; the rest goes on."""

    store: str
    source: str
    item: str
    reason: str


class Notice(Event, frozen=True):
    """Something the owner should know, that is no failure."""

    store: str
    source: str
    text: str


class Counts(msgspec.Struct, kw_only=True):
    """Documents (and `chunks` written, texts `embedded`, vectors `reused`), counted while a run goes on.

    `moved`: of those added and deleted, the ones that are the same at another place. `waiting`: files that failed before and are as
    they were then; they are tried again at their time. `skipped`: files of a kind that no reader knows.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    moved: int = 0
    skipped: int = 0
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    waiting: int = 0


class Report(Counts):
    """One finished run. `error`: why it stopped as a whole; empty when it went through."""

    store: str
    source: str
    failed: tuple[Failed, ...] = ()
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything was read: the caller exits with 1 where not."""
        return not self.failed and not self.error

    def summary(self) -> dict[str, object]:
        """The counts alone, as the book keeps them."""
        counts = msgspec.to_builtins(self)
        return {**{name: counts[name] for name in counts if name not in ("store", "source")}, "failed": len(self.failed)}


class Finished(Event, frozen=True):
    """The end of one source's run."""

    report: Report


OnEvent = Callable[[Event], None]


def merged(reports: list[Report], store: str) -> Report:
    """Several sources' reports as one."""
    numbers: dict[str, Any] = {name: sum(getattr(report, name) for report in reports) for name in Counts.__struct_fields__}
    return Report(
        store,
        ", ".join(report.source for report in reports),
        **numbers,
        failed=tuple(item for report in reports for item in report.failed),
        error="; ".join(report.error for report in reports if report.error),
        seconds=sum(report.seconds for report in reports),
    )
