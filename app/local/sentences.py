"""Sentence vectors for quotes and citations: through the embed worker, each sentence once.

The passages of one store are met again and again (twenty people ask about the same pages), and embedding their sentences is
most of what a quoted answer costs. So vectors are kept, the least recently used ones leave first; a sentence that is
being embedded for somebody is waited for, not embedded twice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from app.pipeline.similarity import Vector, vectors

# About 10,000 sentences of 384 dimensions.
KEEP_BYTES = 16_000_000


class Client(Protocol):
    """What is asked of the embedder (`models.embed_client.EmbedClient`)."""

    async def vectors_bytes(self, texts: Sequence[str], kind: str = ...) -> tuple[bytes, int]:
        """Rows of float32, and their dimensions."""
        ...


class LocalSentences:
    """Vectors of this machine's embedding model. `fingerprint` names the model in use: with another one all is forgotten."""

    def __init__(self, client: Client, fingerprint: Callable[[], Awaitable[str]], *, keep_bytes: int = KEEP_BYTES) -> None:
        self._client, self._fingerprint, self._keep_bytes = client, fingerprint, keep_bytes
        self._of = ""
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._coming: dict[str, asyncio.Future[Vector]] = {}
        self._bytes = 0
        self._work: set[asyncio.Task[None]] = set()

    async def queries(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of questions: each is asked once, so none is kept."""
        return vectors(*await self._client.vectors_bytes(texts, "query"))

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of sentences, those seen before from memory."""
        of = await self._fingerprint()
        if of != self._of:
            self._of, self._bytes, self._known, self._coming = of, 0, OrderedDict(), {}
        missing = [text for text in dict.fromkeys(texts) if text not in self._known and text not in self._coming]
        if missing:
            self._embed(missing)
        for text in filter(self._known.__contains__, texts):
            self._known.move_to_end(text)
        wanted = {text: self._known[text] if text in self._known else self._coming[text] for text in texts}
        found = {
            text: vector if not isinstance(vector, asyncio.Future) else await asyncio.shield(vector) for text, vector in wanted.items()
        }
        return [found[text] for text in texts]

    def _embed(self, texts: Sequence[str]) -> None:
        """Begin to embed; in a task of its own, as others may come to wait for it when the one who asked has left."""
        loop = asyncio.get_running_loop()
        begun: dict[str, asyncio.Future[Vector]] = {text: loop.create_future() for text in texts}
        self._coming.update(begun)
        task = asyncio.create_task(self._deliver(begun, self._coming, self._of), name="embed sentences")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _deliver(self, begun: dict[str, asyncio.Future[Vector]], coming: dict[str, asyncio.Future[Vector]], of: str) -> None:
        try:
            found = vectors(*await self._client.vectors_bytes(list(begun), "passage"))
        except BaseException as error:
            for future in begun.values():
                future.set_exception(error)
                # Whoever waited may have left: the error has been seen.
                future.exception()
            if not isinstance(error, Exception):
                raise
            return
        finally:
            for text in begun:
                coming.pop(text, None)
        for (text, future), vector in zip(begun.items(), found, strict=True):
            future.set_result(vector)
            if of == self._of:
                self._keep(text, vector)

    def _keep(self, text: str, vector: Vector) -> None:
        self._known[text] = vector
        self._bytes += _size(text, vector)
        while self._bytes > self._keep_bytes and len(self._known) > 1:
            self._bytes -= _size(*self._known.popitem(last=False))


def _size(text: str, vector: Vector) -> int:
    return len(vector) * vector.itemsize + 2 * len(text)
