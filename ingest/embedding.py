"""Texts are embedded beside the reading: two threads, which work on what they were given in that order.

Who gives it texts goes on reading and cutting meanwhile, and takes the vectors when it needs them: the heavy part of an embedder
runs without Python's lock. Nothing here knows of documents or of the book, which has one writer, in the thread of its run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, overload

from app.core.errors import OndolError

if TYPE_CHECKING:
    from models.embedder import Embedder

SLICE = 512
"""Texts that one thread has embedded at once. In slices of 64 a first sync took 5 to 8 hundredths longer."""
_THREADS = 2
_LOOK_SECONDS = 0.5

Made = dict[str, bytes]
"""Vectors as little-endian float32, by the hashes of their texts."""


class _Part:
    """Texts that were asked for together, and what has been made of them."""

    def __init__(self, embedder: Embedder, texts: Mapping[str, str]) -> None:
        self.embedder, self.texts = embedder, texts
        self.future: Future[Made] = Future()
        self._made: Made = {}
        self._lock = threading.Lock()

    def add(self, made: Made) -> None:
        with self._lock:
            self._made |= made
            whole = len(self._made) == len(self.texts)
        if whole:
            self.future.set_result(self._made)

    def fail(self, error: BaseException) -> None:
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


class _Texts(Sequence[str]):
    """The texts of a slice, until they are given up: an embedder that takes them batch by batch makes no more of them then."""

    def __init__(self, texts: Sequence[str], given_up: threading.Event) -> None:
        self._texts, self._given_up = texts, given_up

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if self._given_up.is_set():
            raise CancelledError
        return self._texts[at]


class Embedding:
    """Embeds in threads of its own, which begin with the first texts. `close` ends them; what waits then is not embedded.

    Two of them: while one prepares its texts or waits for its last ones, an embedder has those of the other.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[_Part, Sequence[str]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()

    def begin(self, embedder: Embedder, texts: Mapping[str, str]) -> Future[Made]:
        """The vectors to come of texts by their hashes."""
        part = _Part(embedder, texts)
        if not self._threads:
            # Daemons: an interpreter that ends by force need not wait for them.
            self._threads = [threading.Thread(target=self._work, name="embedding", daemon=True) for _ in range(_THREADS)]
            for thread in self._threads:
                thread.start()
        if not texts:
            part.add({})
        for some in slices(texts, SLICE):
            self._jobs.put((part, some))
        return part.future

    def close(self) -> None:
        """Give up what waits, and wait until the batches under way have ended."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            part, some = job
            if self._closed.is_set():
                part.fail(CancelledError())
            elif not part.future.done():
                try:
                    texts = _Texts([part.texts[hash] for hash in some], self._closed)
                    part.add(_vectors(part.embedder, some, texts))
                except BaseException as error:  # noqa: BLE001 - it is raised where the vectors are waited for
                    part.fail(error)


def embedded(embedder: Embedder, texts: Mapping[str, str], portion: int) -> Iterator[Made]:
    """The vectors of texts by their hashes, so many at a time. OndolError: they are not of the embedder's own shape."""
    for some in slices(texts, portion):
        yield _vectors(embedder, some, [texts[hash] for hash in some])


def slices(texts: Mapping[str, str], portion: int) -> Iterator[Sequence[str]]:
    """The hashes of so many texts at a time, near lengths together: a batch is padded to its longest."""
    hashes = sorted(texts, key=lambda one: len(texts[one]))
    for at in range(0, len(hashes), portion):
        yield hashes[at : at + portion]


def _vectors(embedder: Embedder, hashes: Sequence[str], texts: Sequence[str]) -> Made:
    matrix = embedder.passages(texts).astype("<f4")
    if matrix.shape != (len(hashes), embedder.info.dimensions):
        raise OndolError(f"The embedder {embedder.info.model} returned vectors of shape {matrix.shape} for {len(hashes)} texts.")
    return {hash: row.tobytes() for hash, row in zip(hashes, matrix, strict=True)}


def awaited(future: Future[Made]) -> Made:
    """The vectors, once they are made. Ctrl-C is heard meanwhile, on Windows too."""
    while not future.done():
        try:
            return future.result(_LOOK_SECONDS)
        except TimeoutError:
            continue
    return future.result()
