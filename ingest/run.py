"""One run over one source: what was known, what is new, what waits for its vectors, and the counts of it all.

Embedding happens between transactions, beside the reading of what comes next; what it made is written with the documents it belongs
to, batch after batch in their order. Nothing counts before its commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.core.errors import OndolError
from ingest.book.content import Batch, Ready
from ingest.book.held import PORTION, Held, Seen
from ingest.book.writer import SourceRow, Writer
from ingest.chunking import chunk, embedded_text
from ingest.deletions import guard, unseen
from ingest.documents import Document, Failed, content_hash
from ingest.embedders import Tools
from ingest.embedding import Embedding, Made, awaited
from ingest.keeping.failing import Failing
from ingest.options import Options, rule_of
from ingest.report import Committed, Finished, ItemFailed, Notice, OnEvent, Report, Started

if TYPE_CHECKING:  # numpy comes with it: a run that embeds nothing doesn't wait for that import
    from models.embedder import Embedder

__all__ = ["SETTLED", "Options", "Run", "closing", "rule_of"]

SETTLED = "settled"
LOOSE = "loose"
"""Where a source's state says that vectors were kept for documents that are not written yet."""
_ARRIVALS, _ARRIVED_LENGTH = 256, 1_000_000
_DELETIONS = 1000
AHEAD = 2
"""Batches that may wait for their vectors while the next one is read and cut."""


@dataclass
class _Counts:
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
    failed: list[Failed] = field(default_factory=list)


@dataclass
class _Sent:
    """A batch whose new texts are being embedded. `put`: it ends with the so-manieth document; `changed` of its documents were known."""

    put: int
    ready: dict[str, Ready]
    changed: int
    texts: dict[str, str]
    parts: list[Future[Made]]

    @property
    def done(self) -> bool:
        """Whether it can be written without waiting."""
        return all(part.done() for part in self.parts)


class Run:
    """Made for one source of a writer's store. `state` is the source's memory for its next run.

    `settled` is a mark of where a run ended that went through to its end: what `state[SETTLED]` was then. It is gone from the book before
    anything of the source changes there, so a run that was killed leaves none. `documents`: how many of it the store had at the beginning.

    What the store holds is asked of the book in portions, never held in memory as a whole: `find`, `holds`, `known_ids`.
    """

    def __init__(self, writer: Writer, source: SourceRow, tools: Tools, options: Options, on_event: OnEvent) -> None:
        self._writer, self._source, self._tools, self._options, self._on_event = writer, source, tools, options, on_event
        self.state: dict[str, Any] = {name: value for name, value in source.state.items() if name != SETTLED}
        self.settled: Any = None if options.reread else source.state.get(SETTLED)
        self._settled = SETTLED in source.state
        self.access = tuple(source.spec.get("access", ()))
        self.may_leave = bool(source.spec.get("may_leave", False))
        self.rule = rule_of(options.chunk, self.access, self.may_leave)
        self.counts = _Counts()
        self._forgotten = set(self.state.get("forgotten", ()))
        self._failing = Failing(writer.failed_before(source.id).values(), options.retry, time.time())
        self._versions: dict[str, str] = {}
        self._moved: list[tuple[int, list[str]]] = []
        self._seen = Seen()
        self.documents = writer.documents_of(source.id)
        self._arrived: list[Document] = []
        self._arrived_length = 0
        self._put = 0
        self._waiting: dict[str, Ready] = {}
        self._waiting_chunks = 0
        self._waiting_changed = 0
        self._sent: deque[_Sent] = deque()
        self._embedding = Embedding()
        self._after_commit: list[tuple[int, Callable[[], None]]] = []
        self._behind = 0
        self._began = time.monotonic()

    def _embedder(self) -> Embedder:
        """As the store is embedded now, wherever that model is still here."""
        current = self._writer.generation
        return self._tools.embedder(current.fingerprint if current else "")

    def _use(self, embedder: Embedder) -> None:
        self._writer.use_generation(embedder.info.model, embedder.info.fingerprint, embedder.info.dimensions)

    def start(self, total: int | None) -> None:
        """Tell how much there is."""
        self._on_event(Started(self._writer.store, self._source.name, total))

    def notice(self, text: str) -> None:
        """Tell the owner something that is no failure."""
        self._on_event(Notice(self._writer.store, self._source.name, text))

    def holds_back(self, file: str, version: str) -> bool:
        """Whether a file that failed before and is as it was then waits for its time. What was read of it earlier stays."""
        held = self._failing.holds_back(file, version)
        self.counts.waiting += held
        return held

    def unsettled(self, changed_ns: int) -> bool:
        """Whether a file that changed at this moment may still be in the writing."""
        return 0 <= time.time_ns() - changed_ns < self._options.settle * 1e9

    @property
    def reread(self) -> bool:
        """Whether everything is read again, also what is as it was."""
        return self._options.reread

    def fail(self, failed: Failed, version: str = "") -> None:
        """Count an item that could not be read; `version` tells later whether it is still the same."""
        self._versions[failed.item] = version
        self.counts.failed.append(failed)
        self._on_event(ItemFailed(self._writer.store, self._source.name, failed.item, failed.reason))

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
        if self._forgotten:
            self._forgotten, self.settled = set(), None
            # Their files must be read again, so no file counts as known.
            self.state = {name: value for name, value in self.state.items() if name not in ("forgotten", "files")}

    def forgotten(self, id: str) -> bool:
        """Whether the owner took this document out of the store while its source still has it."""
        return id in self._forgotten

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
        if self._sent and self._sent[0].done:
            self._settle()
        self._arrived.append(document)
        self._arrived_length += sum(len(block.text) for block in document.blocks)
        if len(self._arrived) >= _ARRIVALS or self._arrived_length >= _ARRIVED_LENGTH:
            self._take()

    def _take(self) -> None:
        """Compare what has arrived with what the store holds, one question for all of it; write what fills a batch."""
        arrived, first = self._arrived, self._put - len(self._arrived)
        self._arrived, self._arrived_length = [], 0
        known = self.find([document.id for document in arrived])
        for number, document in enumerate(arrived, first + 1):
            if self.forgotten(document.id):
                continue
            before = known.get(document.id)
            if self._on_its_way(document.id) or (before is not None and before.pk in self._seen):
                self.fail(Failed(document.id, f"{document.id} occurs twice: the first one was taken."))
                continue
            hash = content_hash(document, self.rule)
            if before is not None and before.content_hash == hash and not self.reread:
                self.keep_found([before.pk])
                continue
            embedder = self._embedder()
            pieces = chunk(document.title, document.blocks, self._tools.counter().offsets, embedder.info.max_tokens, self._options.chunk)
            hashes = tuple((piece, _text_hash(document, piece.heading, piece.text)) for piece in pieces)
            self._waiting[document.id] = Ready(document, hash, hashes)
            self._waiting_chunks += len(pieces)
            self._waiting_changed += before is not None
            if self._waiting_chunks >= self._options.batch_chunks:
                self._send(number)
                while len(self._sent) > AHEAD:
                    known |= self._settle()

    def _on_its_way(self, id: str) -> bool:
        return id in self._waiting or any(id in sent.ready for sent in self._sent)

    def moved(self, ids: Sequence[str]) -> None:
        """What was put last stood under these ids before: they go in the very transaction in which it comes."""
        mine = [id for id, held in self._writer.find(ids).items() if held.source_id == self._source.id]
        self._moved.append((self._put, mine))

    def _replaced(self, put: int) -> list[str]:
        """What the first `put` documents have taken the place of, each told once."""
        gone: list[str] = []
        while self._moved and self._moved[0][0] <= put:
            gone += self._moved.pop(0)[1]
        return gone

    def _count_moved(self, gone: int) -> None:
        self.counts.deleted += gone
        self.counts.moved += gone

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Runs when all that was put so far is on the disk."""
        self._after_commit.append((self._put, effect))

    def passed(self, items: int = 1) -> None:
        """So many more of the total are behind."""
        self._behind += items

    def flush(self) -> None:
        """Write all that was put."""
        self._take()
        self._send(self._put)
        while len(self._sent) > 1:
            self._settle()
        if self._sent:
            self._write()
        if gone := self._replaced(self._put):  # what took their place was written before its file came to its end
            self._unsettle()
            self._count_moved(self._writer.delete(gone))
        self._committed(self._put)

    def _send(self, put: int) -> None:
        """Have what is new of the waiting documents embedded, in parts that can be kept one by one; they are the next batch."""
        if not self._waiting:
            return
        embedder = self._embedder()
        self._use(embedder)
        texts = {hash: _text(ready.document, piece.heading, piece.text) for ready in self._waiting.values() for piece, hash in ready.chunks}
        coming = {hash for sent in self._sent for hash in sent.texts}
        new = self._writer.without_vector(texts.keys() - coming)
        missing = [hash for hash in texts if hash in new]
        step = self._options.batch_chunks
        parts = [{hash: texts[hash] for hash in missing[at : at + step]} for at in range(0, len(missing), step)]
        self.counts.reused += self._waiting_chunks - len(missing)
        begun = [self._embedding.begin(embedder, part) for part in parts]
        self._sent.append(_Sent(put, self._waiting, self._waiting_changed, texts, begun))
        self._waiting, self._waiting_chunks, self._waiting_changed = {}, 0, 0

    def _write(self) -> dict[str, Held]:
        """Write the oldest batch in one transaction, once its texts are embedded; how the store holds its documents now."""
        sent = self._sent[0]
        vectors: Made = {}
        # A document of many batches keeps each as it is made: a kill costs one batch, not a day.
        for last, part in enumerate(sent.parts, 1 - len(sent.parts)):
            vectors = awaited(part)
            self.counts.embedded += len(vectors)
            if last < 0:
                if LOOSE not in self.state:
                    self.remember(**{LOOSE: True})
                self._writer.keep_vectors(vectors)
        # A batch before this one may have taken the last chunk with a text of this one out, and its vector with it.
        lost = self._writer.without_vector(sent.texts.keys() - vectors.keys())
        if lost:
            vectors |= awaited(self._embedding.begin(self._embedder(), {hash: sent.texts[hash] for hash in lost}))
            self.counts.embedded += len(lost)
        self._unsettle()
        waiting = list(sent.ready.values())
        gone = self._replaced(sent.put)
        self._count_moved(self._writer.commit(Batch(self._source.id, waiting, vectors, self.access, self.may_leave, gone)))
        self._sent.popleft()
        written = self.find(list(sent.ready))
        for held in written.values():
            self._seen.add(held.pk)
        self.counts.changed += sent.changed
        self.counts.added += len(waiting) - sent.changed
        self.counts.chunks += sum(len(ready.chunks) for ready in waiting)
        return written

    def _settle(self) -> dict[str, Held]:
        """Write the oldest batch, and tell of it."""
        put = self._sent[0].put
        written = self._write()
        self._committed(put)
        return written

    def _committed(self, put: int) -> None:
        """All of the first `put` documents is on the disk: what was to happen then."""
        while self._after_commit and self._after_commit[0][0] <= put:
            self._after_commit.pop(0)[1]()
        self._tell()

    def remember(self, **parts: Any) -> None:
        """Write parts of the source's memory down at once: what they speak of happens next."""
        self.state |= parts
        self._source.state.update(parts)
        self._write_state()

    def _unsettle(self) -> None:
        """From the first change on, the source's mark is no more what the store holds: a run that is cut short leaves none."""
        if self._settled:
            self._settled = False
            self._write_state()

    def _write_state(self) -> None:
        kept = {name: value for name, value in self._source.state.items() if self._settled or name != SETTLED}
        self._writer.remember(self._source.id, kept)

    def _tell(self) -> None:
        counts = self.counts
        done = counts.added + counts.changed + counts.unchanged
        self._on_event(Committed(self._writer.store, self._source.name, self._behind, done, counts.chunks, counts.embedded, counts.deleted))

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

    def _delete(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), _DELETIONS):
            self._unsettle()
            self.counts.deleted += self._writer.delete(ids[at : at + _DELETIONS])
            self._tell()

    def report(self, error: str = "") -> Report:
        """The counts so far."""
        counts = vars(self.counts) | {"failed": tuple(self.counts.failed)}
        return Report(self._writer.store, self._source.name, **counts, error=error, seconds=round(time.monotonic() - self._began, 3))

    def close(self, error: str = "") -> Report:
        """Write down how it went. After an error the failures of earlier runs stay listed: not all was looked at."""
        self._embedding.close()
        report = self.report(error)
        # Vectors of a document that never came whole; after an error the next run may still need them.
        if not error and self.state.pop(LOOSE, False):
            self._writer.drop_unused_vectors()
        failed = [*report.failed, *([Failed(self._source.name, error)] if error else [])]
        self._writer.record_failures(self._source.id, failed, complete=not error, versions=self._versions, untried=self._failing.untried)
        self._writer.finish(self._source.id, report.summary(), self.state)
        self._on_event(Finished(report))
        return report


@contextlib.contextmanager
def closing(run: Run) -> Iterator[Run]:
    """Whatever ends the run is written down before it goes on its way."""
    try:
        yield run
    except BaseException as error:
        with contextlib.suppress(OndolError):
            run.close(
                str(error) if isinstance(error, OndolError) else "interrupted" if isinstance(error, KeyboardInterrupt) else repr(error)
            )
        raise


def _text(document: Document, heading: str, text: str) -> str:
    return embedded_text(document.title, heading, text)


def _text_hash(document: Document, heading: str, text: str) -> str:
    return hashlib.blake2b(_text(document, heading, text).encode(), digest_size=16).hexdigest()
