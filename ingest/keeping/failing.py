"""Which items that failed before are left alone this time. Pure.

Whatever changed is tried at once; what is as it was when it failed waits for its time, later and later, and is then set aside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ingest.book.source_rows import FailedBefore
from ingest.documents import came_from
from ingest.keeping.schedule import may_try

Retry = bool | Collection[str]
"""Try all again now; or the named items alone; or (False) each at its time."""


class Failing:
    """The failures of one source's earlier runs, asked while it is run again. `untried`: items that were left alone."""

    def __init__(self, before: Iterable[FailedBefore], retry: Retry, now: float) -> None:
        self.untried: set[str] = set()
        self._retry, self._now = retry, now
        self._of_file: dict[str, list[FailedBefore]] = {}
        for failed in before:
            for file in came_from(failed.item):
                self._of_file.setdefault(file, []).append(failed)

    def holds_back(self, file: str, version: str) -> bool:
        """Whether this file, unchanged since it (or records of it) failed, is not to be read yet."""
        failed = self._of_file.get(file)
        if not failed or not version or not all(one.version == version and self._must_wait(file, one) for one in failed):
            return False
        self.untried.update(one.item for one in failed)
        return True

    def _must_wait(self, file: str, one: FailedBefore) -> bool:
        asked = self._retry if isinstance(self._retry, bool) else one.item in self._retry or file in self._retry
        return not asked and not may_try(one.last_at, one.next_at, self._now)
