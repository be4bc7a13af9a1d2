"""A store that is open for writing, and the runs over its sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from app.core.errors import OndolError
from app.core.paths import Home
from ingest.book.writer import Writer, open_writer
from ingest.documents import Failed
from ingest.embedders import Tools
from ingest.generations import prepare
from ingest.index.files import taken_in
from ingest.options import Labels, Options
from ingest.report import ItemFailed, OnEvent, Report, Waiting
from ingest.run import Run


@contextmanager
def open_store(home: Home, store: str, on_event: OnEvent, *, create: bool = True, wait: bool = True) -> Iterator[Writer]:
    """Its writer; waits for another one, and says so, or raises Conflict where `wait` is off. What the index has passed is pruned."""
    with open_writer(home, store, create=create, on_wait=lambda holder: on_event(Waiting(store, holder)), wait=wait) as writer:
        if writer.generation:
            writer.prune_outbox(taken_in(home.index, writer.generation.id))
        yield writer


class Runs:
    """Over the sources of one opened store."""

    def __init__(self, writer: Writer, tools: Tools, options: Options, on_event: OnEvent) -> None:
        self._writer, self._tools, self._options, self._on_event = writer, tools, options, on_event

    def again(self, kind: str, name: str, spec: Mapping[str, Any]) -> Run:
        """A run over a source, made or known. Its labels stay as they were, unless new ones are given."""
        options = self._options
        prepare(self._writer, self._tools, self._on_event)
        before = Labels.of(next((row.spec for row in self._writer.sources() if (row.kind, row.name) == (kind, name)), {}))
        labels = {
            "access": list(before.access if options.access is None else options.access),
            "may_leave": before.may_leave if options.may_leave is None else options.may_leave,
        }
        source = self._writer.source(kind, name, {**spec, **labels})
        if options.schedule is not None:
            self._writer.schedule(source.id, options.schedule)
        return Run(self._writer, source, self._tools, options, self._on_event)

    def by_name(self, kind: str, name: str, spec: Mapping[str, Any]) -> Run:
        """A run over a source that its owner has named just now: what was forgotten of it comes back."""
        run = self.again(kind, name, spec)
        run.recall_forgotten()
        return run

    def nothing(self, name: str, failed: Sequence[Failed]) -> Report:
        """Nothing that could be run again later: it is told, and not remembered as a source."""
        for item in failed:
            self._on_event(ItemFailed(self._writer.store, name, item.item, item.reason))
        return Report(self._writer.store, name, failed=tuple(failed))


@contextmanager
def closing(run: Run) -> Iterator[Run]:
    """Whatever ends the run is written down before it goes on its way."""
    try:
        yield run
    except BaseException as error:
        with suppress(OndolError):
            run.close(_told(error))
        raise


def _told(error: BaseException) -> str:
    if isinstance(error, OndolError):
        return str(error)
    return "interrupted" if isinstance(error, KeyboardInterrupt) else repr(error)
