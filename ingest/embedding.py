"""Texts are embedded beside the reading: one thread, which works on what it was given in that order.

Who gives it texts goes on reading and cutting meanwhile, and takes the vectors when it needs them: the heavy part of an embedder
runs without Python's lock. Nothing here knows of documents or of the book, which has one writer, in the thread of its run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from app.core.errors import OndolError

if TYPE_CHECKING:
    from models.embedder import Embedder

SLICE = 64
"""Texts that are embedded at once: whoever gives up waits for no more than these."""
_LOOK_SECONDS = 0.5

Made = dict[str, bytes]
"""Vectors as little-endian float32, by the hashes of their texts."""


class Embedding:
    """Embeds in a thread of its own, which begins with the first texts. `close` ends it; what waits then is not embedded."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Embedder, Mapping[str, str], Future[Made]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def begin(self, embedder: Embedder, texts: Mapping[str, str]) -> Future[Made]:
        """The vectors to come of texts by their hashes."""
        future: Future[Made] = Future()
        if self._thread is None:
            # A daemon: an interpreter that ends by force need not wait for it.
            self._thread = threading.Thread(target=self._work, name="embedding", daemon=True)
            self._thread.start()
        self._jobs.put((embedder, texts, future))
        return future

    def close(self) -> None:
        """Give up what waits, and wait until the slice under way has ended."""
        self._closed.set()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            embedder, texts, future = job
            try:
                future.set_result(self._embedded(embedder, texts))
            except BaseException as error:  # noqa: BLE001 - it is raised where the vectors are waited for
                future.set_exception(error)

    def _embedded(self, embedder: Embedder, texts: Mapping[str, str]) -> Made:
        made: Made = {}
        slices = embedded(embedder, texts, SLICE)
        while not self._closed.is_set():
            if (some := next(slices, None)) is None:
                return made
            made |= some
        raise CancelledError


def embedded(embedder: Embedder, texts: Mapping[str, str], portion: int) -> Iterator[Made]:
    """The vectors of texts by their hashes, so many at a time. OndolError: they are not of the embedder's own shape."""
    # Near lengths together: a batch is padded to its longest.
    hashes = sorted(texts, key=lambda one: len(texts[one]))
    for at in range(0, len(hashes), portion):
        some = hashes[at : at + portion]
        matrix = embedder.passages([texts[hash] for hash in some]).astype("<f4")
        if matrix.shape != (len(some), embedder.info.dimensions):
            raise OndolError(f"The embedder {embedder.info.model} returned vectors of shape {matrix.shape} for {len(some)} texts.")
        yield {hash: row.tobytes() for hash, row in zip(some, matrix, strict=True)}


def awaited(future: Future[Made]) -> Made:
    """The vectors, once they are made. Ctrl-C is heard meanwhile, on Windows too."""
    while not future.done():
        try:
            return future.result(_LOOK_SECONDS)
        except TimeoutError:
            continue
    return future.result()
