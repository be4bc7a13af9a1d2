"""Documents on their way to the book: embedded beside the reading of what comes next, written batch after batch in their order.

Embedding happens between transactions; what it made is written with the documents it belongs to.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.book.content import Batch, Ready
from ingest.book.writer import Writer
from ingest.chunking import ChunkOptions, chunk, embedded_text
from ingest.documents import Document
from ingest.embedders import Tools
from ingest.embedding import Embedding, Made, awaited
from ingest.options import Labels
from ingest.report import Counts
from ingest.source_state import LOOSE, SourceState

if TYPE_CHECKING:  # numpy comes with it: a run that embeds nothing doesn't wait for that import
    from models.embedder import Embedder

AHEAD = 2
"""Batches that may wait for their vectors while the next one is read and cut."""
_FIRST = 64
"""Chunks of a run's first batch at most: until it is sent, the embedder has nothing to do."""


@dataclass
class _Sent:
    """A batch whose new texts are being embedded. `put`: it ends with the so-manieth document; `changed` of its documents were known."""

    put: int
    ready: dict[str, Ready]
    changed: int
    texts: dict[str, str]
    parts: list[Future[Made]]


class Batches:
    """Of one source's run, which adds documents, has them sent when there are `enough`, and decides when the oldest batch is written."""

    def __init__(
        self, writer: Writer, source_id: int, labels: Labels, tools: Tools, chunks: int, counts: Counts, state: SourceState
    ) -> None:
        self._writer, self._source_id, self._labels, self._tools = writer, source_id, labels, tools
        self._chunks, self._counts, self._state = chunks, counts, state
        self._waiting: dict[str, Ready] = {}
        self._waiting_chunks = 0
        self._waiting_changed = 0
        self._begun = False
        self._sent: deque[_Sent] = deque()
        self._embedding = Embedding()

    def __contains__(self, id: str) -> bool:
        return id in self._waiting or any(id in sent.ready for sent in self._sent)

    def __len__(self) -> int:
        """How many were sent and are not written yet."""
        return len(self._sent)

    @property
    def documents(self) -> int:
        """How many were added and are not written yet."""
        return len(self._waiting) + sum(len(sent.ready) for sent in self._sent)

    @property
    def enough(self) -> bool:
        """Whether what was added fills a batch."""
        return self._waiting_chunks >= (self._chunks if self._begun else min(self._chunks, _FIRST))

    @property
    def made(self) -> bool:
        """Whether the oldest batch can be written without waiting."""
        return bool(self._sent) and all(part.done() for part in self._sent[0].parts)

    @property
    def oldest(self) -> int:
        """The number of the document that the oldest batch ends with."""
        return self._sent[0].put

    def add(self, document: Document, content_hash: str, cut: ChunkOptions, *, known: bool) -> None:
        """Cut a document for the next batch. `known`: the store has an older form of it."""
        pieces = chunk(document.title, document.blocks, self._tools.counter().offsets, self._embedder().info.max_tokens, cut)
        hashed = tuple((piece, _text_hash(document, piece.heading, piece.text)) for piece in pieces)
        self._waiting[document.id] = Ready(document, content_hash, hashed)
        self._waiting_chunks += len(pieces)
        self._waiting_changed += known

    def send(self, put: int) -> None:
        """Have what is new of the added documents embedded, in parts that can be kept one by one; they are the next batch."""
        if not self._waiting:
            return
        embedder = self._embedder()
        self._writer.use_generation(embedder.info.model, embedder.info.fingerprint, embedder.info.dimensions)
        texts = {hash: _text(ready.document, piece.heading, piece.text) for ready in self._waiting.values() for piece, hash in ready.chunks}
        coming = {hash for sent in self._sent for hash in sent.texts}
        new = self._writer.without_vector(texts.keys() - coming)
        missing = [hash for hash in texts if hash in new]
        parts = [{hash: texts[hash] for hash in missing[at : at + self._chunks]} for at in range(0, len(missing), self._chunks)]
        self._counts.reused += self._waiting_chunks - len(missing)
        begun = [self._embedding.begin(embedder, part) for part in parts]
        self._begun = True
        self._sent.append(_Sent(put, self._waiting, self._waiting_changed, texts, begun))
        self._waiting, self._waiting_chunks, self._waiting_changed = {}, 0, 0

    def write(self, gone: Sequence[str]) -> tuple[list[str], int]:
        """Write the oldest batch in one transaction, once its texts are embedded, and take out what it replaces.

        The ids of its documents, and how many of `gone` there were.
        """
        sent = self._sent[0]
        vectors = self._vectors(sent)
        self._state.unsettle()
        put = list(sent.ready.values())
        removed = self._writer.commit(Batch(self._source_id, put, vectors, self._labels.access, self._labels.may_leave, gone))
        self._sent.popleft()
        self._counts.changed += sent.changed
        self._counts.added += len(put) - sent.changed
        self._counts.chunks += sum(len(ready.chunks) for ready in put)
        return list(sent.ready), removed

    def _vectors(self, sent: _Sent) -> Made:
        vectors: Made = {}
        # A document of many batches keeps each as it is made: a kill costs one batch, not a day.
        for last, part in enumerate(sent.parts, 1 - len(sent.parts)):
            vectors = awaited(part)
            self._counts.embedded += len(vectors)
            if last < 0:
                if LOOSE not in self._state.next:
                    self._state.remember(**{LOOSE: True})
                self._writer.keep_vectors(vectors)
        # A batch before this one may have taken the last chunk with a text of this one out, and its vector with it.
        lost = self._writer.without_vector(sent.texts.keys() - vectors.keys())
        if lost:
            vectors |= awaited(self._embedding.begin(self._embedder(), {hash: sent.texts[hash] for hash in lost}))
            self._counts.embedded += len(lost)
        return vectors

    def _embedder(self) -> Embedder:
        """As the store is embedded now, wherever that model is still here."""
        current = self._writer.generation
        return self._tools.embedder(current.fingerprint if current else "")

    def close(self) -> None:
        """Give up what is not embedded yet."""
        self._embedding.close()


def _text(document: Document, heading: str, text: str) -> str:
    return embedded_text(document.title, heading, text)


def _text_hash(document: Document, heading: str, text: str) -> str:
    return hashlib.blake2b(_text(document, heading, text).encode(), digest_size=16).hexdigest()
