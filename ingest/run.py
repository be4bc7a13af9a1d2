"""One run over one source: what was known, what is new, what waits for its vectors, and the counts of it all.

Nothing counts before its commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ingest.batches import AHEAD, Batches
from ingest.book.held import PORTION, Held, Seen
from ingest.book.writer import SourceRow, Writer
from ingest.deletions import guard, unseen
from ingest.documents import Document, Failed, content_hash
from ingest.embedders import Tools
from ingest.keeping.failing import Failing
from ingest.options import Labels, Options, rule_of
from ingest.report import Committed, Compared, Counts, Finished, ItemFailed, Notice, OnEvent, Report, Started
from ingest.source_state import LOOSE, SourceState

_ARRIVALS, _ARRIVED_LENGTH = 256, 1_000_000
"""Documents, and characters of theirs, that are compared with the book in one question."""
_DELETIONS = 1000


class Run:
    """Made for one source of a writer's store.

    What the store holds is asked of the book in portions, never held in memory as a whole: `find`, `holds`, `known_ids`.
    `documents`: how many of the source the store had at the beginning.
    """

    def __init__(self, writer: Writer, source: SourceRow, tools: Tools, options: Options, on_event: OnEvent) -> None:
        self._writer, self._source, self._options, self._on_event = writer, source, options, on_event
        self._memory = SourceState(writer, source, reread=options.reread)
        labels = Labels.of(source.spec)
        self.rule = rule_of(options.chunk, labels)
        self.counts = Counts()
        self.failed: list[Failed] = []
        self._batches = Batches(writer, source.id, labels, tools, options.batch_chunks, self.counts, self._memory)
        self._failing = Failing(writer.failed_before(source.id).values(), options.retry, time.time())
        self._versions: dict[str, str] = {}
        self._seen = Seen()
        self.documents = writer.documents_of(source.id)
        self._arrived: list[Document] = []
        self._arrived_length = 0
        self._put = 0
        self._moved: list[tuple[int, list[str]]] = []
        self._after_commit: list[tuple[int, Callable[[], None]]] = []
        self._of_documents = False
        self._behind = self._taken = self._reported = 0
        self._began = time.monotonic()

    # What a source asks of the run before and while it reads.

    @property
    def state(self) -> dict[str, Any]:
        """The source's memory for its next run, written down at the end of this one."""
        return self._memory.next

    @property
    def settled(self) -> Any:
        """The mark of where the last run ended: what `state[SETTLED]` was then. None where that run did not come to its end."""
        return self._memory.settled

    @property
    def reread(self) -> bool:
        """Whether everything is read again, also what is as it was."""
        return self._options.reread

    def known_ids(self) -> Iterator[str]:
        """The ids of all that the store holds, of other sources too."""
        return self._writer.ids()

    def find(self, ids: Sequence[str]) -> dict[str, Held]:
        """Those of the ids that the store holds, as they were when this run began or as it wrote them."""
        return self._writer.find(ids)

    def holds(self, id: str, hash: str) -> bool:
        """Whether the store has the document just so."""
        known = self.find([id]).get(id)
        return known is not None and known.content_hash == hash and not self.reread

    def recall_forgotten(self) -> None:
        """The owner named this source again: what was forgotten of it comes back."""
        self._memory.recall_forgotten()

    def forgotten(self, id: str) -> bool:
        """Whether the owner took this document out of the store while its source still has it."""
        return self._memory.forgotten(id)

    def holds_back(self, file: str, version: str) -> bool:
        """Whether a file that failed before and is as it was then waits for its time. What was read of it earlier stays."""
        held = self._failing.holds_back(file, version)
        self.counts.waiting += held
        return held

    def unsettled(self, changed_ns: int) -> bool:
        """Whether a file that changed at this moment may still be in the writing."""
        return 0 <= time.time_ns() - changed_ns < self._options.settle * 1e9

    def remember(self, **parts: Any) -> None:
        """Write parts of the source's memory down at once: what they speak of happens next."""
        self._memory.remember(**parts)

    # What a source tells the run.

    def compared(self, rows: int) -> None:
        """So many rows were looked at before it is known how many must be read."""
        self._on_event(Compared(self._writer.store, self._source.name, rows))

    def start(self, total: int | None, *, of_documents: bool = False) -> None:
        """How much there is. `of_documents`: each that is put is one of the total, and behind once it is on the disk."""
        self._of_documents = of_documents
        self._on_event(Started(self._writer.store, self._source.name, total))

    def passed(self, items: int = 1) -> None:
        """So many more of the total are behind, beside the documents that are counted by themselves."""
        self._behind += items
        self._tell_progress()

    def notice(self, text: str) -> None:
        """Something that the owner should know, and that is no failure."""
        self._on_event(Notice(self._writer.store, self._source.name, text))

    def fail(self, failed: Failed, version: str = "") -> None:
        """An item that could not be read; `version` tells later whether it is still the same."""
        self._versions[failed.item] = version
        self.failed.append(failed)
        self._on_event(ItemFailed(self._writer.store, self._source.name, failed.item, failed.reason))

    def keep(self, ids: Iterable[str]) -> None:
        """These documents are as they were."""
        some = list(ids)
        for at in range(0, len(some), PORTION):
            self.keep_found(held.pk for held in self._writer.find(some[at : at + PORTION]).values())

    def keep_found(self, pks: Iterable[int]) -> None:
        """These documents, by their place in the book, are as they were."""
        self.counts.unchanged += sum(map(self._seen.add, pks))

    def put(self, document: Document) -> None:
        """A document of the source: written with the next batch where it is new or changed."""
        self._put += 1
        if self._batches.made:
            self._settle()
        self._arrived.append(document)
        self._arrived_length += sum(len(block.text) for block in document.blocks)
        if len(self._arrived) >= _ARRIVALS or self._arrived_length >= _ARRIVED_LENGTH:
            self._take()

    def moved(self, ids: Sequence[str]) -> None:
        """What was put last stood under these ids before: they go in the very transaction in which it comes."""
        mine = [id for id, held in self._writer.find(ids).items() if held.source_id == self._source.id]
        self._moved.append((self._put, mine))

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Runs when all that was put so far is on the disk."""
        self._after_commit.append((self._put, effect))

    def flush(self) -> None:
        """Write all that was put."""
        self._take()
        self._batches.send(self._put)
        while len(self._batches) > 1:
            self._settle()
        if len(self._batches):
            self._write()
        if gone := self._replaced(self._put):  # what took their place was written before its file came to its end
            self._memory.unsettle()
            self._count_moved(self._writer.delete(gone))
        self._committed(self._put)

    def remove_unseen(self, spared: Callable[[str], bool] | None = None) -> None:
        """Take out what the source no longer has. Conflict (nothing removed): that is a suspiciously large share of it."""
        count, gone = 0, list[str]()
        for some in unseen(self._writer, self._source.id, self._seen, spared):
            count += len(some)
            if count <= PORTION:
                gone += some
        guard(self._source.name, count, self.documents, self._options)
        # So many that they are not kept in memory are looked for again.
        for some in [gone] if count == len(gone) else unseen(self._writer, self._source.id, self._seen, spared):
            self._delete(some)

    def remove(self, ids: Sequence[str]) -> None:
        """Take these documents out: the source no longer has them. Conflict as with `remove_unseen`."""
        guard(self._source.name, len(ids), self.documents, self._options)
        self._delete(ids)

    def _take(self) -> None:
        """Compare what has arrived with what the store holds, one question for all of it; write what fills a batch."""
        arrived, first = self._arrived, self._put - len(self._arrived)
        self._arrived, self._arrived_length = [], 0
        known = self.find([document.id for document in arrived])
        for number, document in enumerate(arrived, first + 1):
            if self.forgotten(document.id):
                continue
            before = known.get(document.id)
            if document.id in self._batches or (before is not None and before.pk in self._seen):
                self.fail(Failed(document.id, f"{document.id} occurs twice: the first one was taken."))
                continue
            hash = content_hash(document, self.rule)
            if before is not None and before.content_hash == hash and not self.reread:
                self.keep_found([before.pk])
                continue
            self._batches.add(document, hash, self._options.chunk, known=before is not None)
            if self._batches.enough:
                self._taken = number
                self._batches.send(number)
                while len(self._batches) > AHEAD:
                    known |= self._settle()
        self._taken = self._put
        self._tell_progress()

    def _settle(self) -> dict[str, Held]:
        """Write the oldest batch, and tell of it; how the store holds its documents now."""
        put = self._batches.oldest
        written = self._write()
        self._committed(put)
        return written

    def _write(self) -> dict[str, Held]:
        ids, gone = self._batches.write(self._replaced(self._batches.oldest))
        self._count_moved(gone)
        written = self.find(ids)
        for held in written.values():
            self._seen.add(held.pk)
        return written

    def _replaced(self, put: int) -> list[str]:
        """What the first `put` documents have taken the place of, each told once."""
        gone: list[str] = []
        while self._moved and self._moved[0][0] <= put:
            gone += self._moved.pop(0)[1]
        return gone

    def _count_moved(self, gone: int) -> None:
        self.counts.deleted += gone
        self.counts.moved += gone

    def _committed(self, put: int) -> None:
        """All of the first `put` documents is on the disk: what was to happen then."""
        while self._after_commit and self._after_commit[0][0] <= put:
            self._after_commit.pop(0)[1]()
        self._tell()

    def _delete(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), _DELETIONS):
            self._memory.unsettle()
            self.counts.deleted += self._writer.delete(ids[at : at + _DELETIONS])
            self._tell()

    @property
    def _items(self) -> int:
        """How many of the total are behind: of the documents all that were compared with the book, but those that wait to be written."""
        return self._behind + (self._taken - self._batches.documents if self._of_documents else 0)

    def _tell_progress(self) -> None:
        """Where documents are counted what needs no writing is told at once; files are told of with what is written."""
        if self._of_documents and self._items > self._reported:
            self._tell()

    def _tell(self) -> None:
        counts, self._reported = self.counts, self._items
        done = counts.added + counts.changed + counts.unchanged
        self._on_event(
            Committed(self._writer.store, self._source.name, self._reported, done, counts.chunks, counts.embedded, counts.deleted)
        )

    def report(self, error: str = "") -> Report:
        """The counts so far."""
        seconds = round(time.monotonic() - self._began, 3)
        return Report(self._writer.store, self._source.name, tuple(self.failed), error, seconds, **msgspec.structs.asdict(self.counts))

    def close(self, error: str = "") -> Report:
        """Write down how it went. After an error the failures of earlier runs stay listed: not all was looked at."""
        self._batches.close()
        report = self.report(error)
        # Vectors of a document that never came whole; after an error the next run may still need them.
        if not error and self.state.pop(LOOSE, False):
            self._writer.drop_unused_vectors()
        failed = [*report.failed, *([Failed(self._source.name, error)] if error else [])]
        self._writer.record_failures(self._source.id, failed, complete=not error, versions=self._versions, untried=self._failing.untried)
        self._writer.finish(self._source.id, report.summary(), self.state)
        self._on_event(Finished(report))
        return report
