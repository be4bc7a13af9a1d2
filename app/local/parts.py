"""This machine's own parts as the API and the pipeline want them: stores, embeddings, and their health."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from app.api.parts import Embedded, Reranked
from app.core.errors import ModelNotFound, OndolError
from app.core.records import Context, SearchQuery, SearchResult, StoreInfo
from app.core.tokens import estimate_tokens
from app.core.workers.parent import State
from app.local.vectors import LocalVectors
from app.pipeline.service import DEFAULT
from ingest.index.client import IndexClient
from ingest.search.hybrid import Searcher
from models.embed_client import EmbedClient
from models.installed import InstalledModel
from models.precision import by_fingerprint
from models.tokenizer import ModelTokenCounter

log = logging.getLogger(__name__)
STORES_FRESH_SECONDS = 1.0
STORES_SHARE = 20
WATCH_SECONDS = 2.0


class LocalStores:
    """The book's stores. The list is kept for a second or longer: the model picker asks for it at every page load."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._seen: tuple[float, tuple[StoreInfo, ...]] = (0.0, ())
        self._fault = ""

    async def stores(self) -> Sequence[StoreInfo]:
        """All stores, by name; none where nothing was ingested yet. A book that can't be read shows those last seen: the list must come."""
        until, known = self._seen
        if time.monotonic() > until:
            began = time.monotonic()
            try:
                known = tuple(await self._searcher.stores())
                self._fault = ""
            except (OndolError, sqlite3.Error) as error:
                if str(error) != self._fault:
                    log.warning("the stores can't be listed: %s", error)
                self._fault = str(error)
            # Counting a large book takes a while: it gets a small share of the time, however often a page asks.
            now = time.monotonic()
            self._seen = (now + STORES_FRESH_SECONDS + STORES_SHARE * (now - began), known)
        return known

    async def search(self, store: str, queries: Sequence[SearchQuery], context: Context) -> Sequence[SearchResult]:
        """Hybrid search in one store, for each question."""
        return await self._searcher.search_all(store, queries, context)


class LocalEmbeddings:
    """The embedding model that fills the stores, by its own name or as `default`; beside it the GGUF models (`vectors`)."""

    def __init__(self, client: EmbedClient, vectors: LocalVectors) -> None:
        self._client, self._vectors = client, vectors

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Reranked:
        """A score for each document. ModelNotFound, ContextLengthExceeded."""
        return await self._vectors.rerank(model, query, documents)

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> Embedded:
        """Vectors of texts. ModelNotFound for another sentence-transformers model than the one in use."""
        try:
            info = await self._client.info()
        except ModelNotFound:
            if await self._vectors.find(model, "embedding") is None:
                raise
            return await self._vectors.embed(model, texts)
        if model not in (DEFAULT, info.model) and await self._vectors.find(model, "embedding") is not None:
            return await self._vectors.embed(model, texts)
        if model not in (DEFAULT, info.model):
            raise ModelNotFound(
                f"The embedding model in use is '{info.model}', not '{model}'.", hint="`ondol models use` changes it.", param="model"
            )
        data, dimensions = await self._client.vectors_bytes(texts, "query" if query else "passage")
        # Asked again: its first text settles how exactly a model calculates here.
        info = await self._client.info()
        return Embedded(info.model, info.fingerprint, data, dimensions, sum(estimate_tokens(text) for text in texts))


class StoreCounters:
    """The tokenizer of the model that a store was filled with, by its fingerprint; read when first asked for."""

    def __init__(self, installed: Callable[[], Sequence[InstalledModel]]) -> None:
        self._installed = installed
        self._known: dict[str, ModelTokenCounter] = {}

    def __call__(self, fingerprint: str) -> ModelTokenCounter | None:
        """None where that model is not here: nothing can be compared with the store's vectors then."""
        if fingerprint not in self._known:
            found = by_fingerprint(self._installed(), fingerprint)
            if found is None:
                return None
            self._known[fingerprint] = ModelTokenCounter(found[0])
        return self._known[fingerprint]


class LocalParts:
    """The workers of this machine: started when there is something to search, watched, and stopped together."""

    def __init__(self, stores: LocalStores, index: IndexClient, embed: EmbedClient) -> None:
        self._stores, self._index, self._embed = stores, index, embed
        self._watching: asyncio.Task[None] | None = None
        self._pending: dict[str, int] = {}
        self._phase = ""

    async def start(self) -> None:
        """Returns at once; the workers warm up behind it, so that the first question doesn't pay for their start."""
        self._watching = asyncio.create_task(self._watch(), name="watch the workers")

    async def _watch(self) -> None:
        while not await self._stores.stores():  # noqa: ASYNC110 - the first store comes from another process
            await asyncio.sleep(WATCH_SECONDS)
        for begin in (self._index.start, self._embed.start):
            await _tried(begin())
        while True:
            await _tried(self._look())
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self) -> None:
        found = await self._index.state()
        self._pending = {entry["store"]: entry["pending"] for entry in found}
        self._phase = "rebuilding" if any(entry["rebuilding"] for entry in found) else ""

    async def health(self) -> dict[str, Any]:
        """A state per part, as last seen: nothing is waited for."""
        # A worker that isn't there because nobody asked is well: the next question starts it.
        index = self._phase if self._index.worker_state is State.READY and self._phase else _word(self._index.worker_state)
        return {
            "index": {"state": index, "pid": self._index.pid, "pending": self._pending},
            "embedder": {"state": _word(self._embed.state), "pid": self._embed.pid},
        }

    async def stop(self) -> None:
        """End the workers."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await asyncio.gather(self._index.stop(), self._embed.stop())


def _word(state: State) -> str:
    return "idle" if state is State.STOPPED else str(state)


async def _tried(work: Awaitable[Any]) -> None:
    """What fails here is said in the log, and again to whoever asks a question."""
    try:
        await work
    except OndolError as error:
        log.warning("not ready yet: %s", error)
