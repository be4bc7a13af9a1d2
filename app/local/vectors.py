"""GGUF models of this machine that embed or rerank: each in a worker of its own, which leaves when idle or when another is asked.

One embedder and one reranker are kept at most; the embedding model that fills the stores is not among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from app.api.parts import Embedded, Reranked
from app.core.errors import Conflict, ModelNotFound
from app.core.workers.parent import State
from app.pipeline.service import DEFAULT
from models.engine.vector_client import VectorClient
from models.engine.vectors import VectorSettings
from models.installed import InstalledModel
from models.library import Library

log = logging.getLogger(__name__)
_WATCH_EVERY = 15.0


class _Place:
    def __init__(self, model: InstalledModel, client: VectorClient) -> None:
        self.model, self.client, self.users = model, client, 0


class LocalVectors:
    """The library's GGUF embedders and rerankers, by id; `default` is the library's own choice, of embedders the one pulled first."""

    def __init__(self, library: Library, settings: VectorSettings, *, logs: Path, idle_seconds: float) -> None:
        self._library, self._settings, self._logs, self._idle = library, settings, logs, idle_seconds
        self._places: dict[str, _Place] = {}
        self._changing = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        """Vectors of length 1. ModelNotFound, ContextLengthExceeded."""
        async with self._using(model, "embedding") as place:
            info = await place.client.start()
            data, tokens = await place.client.embed(texts)
            return Embedded(place.model.id, f"{place.model.id}:{place.model.sha256[:24]}", data, info.dimensions, tokens)

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Reranked:
        """A score from 0 to 1 for each document. ModelNotFound, ContextLengthExceeded."""
        async with self._using(model, "rerank") as place:
            scores, tokens = await place.client.rerank(query, documents)
            return Reranked(place.model.id, tuple(scores), tokens)

    async def find(self, name: str, kind: str) -> InstalledModel | None:
        """The model of this name; None where there is none of this kind."""
        if kind == "rerank" and name in ("", DEFAULT):
            return await asyncio.to_thread(self._library.default_reranker)
        models = [model for model in await asyncio.to_thread(self._library.list) if model.kind == kind and model.embedding is None]
        if name in ("", DEFAULT):
            return min(models, key=lambda model: (model.pulled_at, model.id), default=None)
        return next((model for model in models if model.id == name), None)

    async def load(self, model: InstalledModel) -> None:
        """Into memory; what keeps it from loading is raised."""
        async with self._using(model.id, model.kind) as place:
            await place.client.start()

    async def unload(self, id: str) -> None:
        """Out of memory; nothing happens where it isn't. Conflict while it computes for somebody."""
        async with self._changing:
            place = self._places.get(id)
            if place is not None and place.users:
                raise Conflict(f"The model '{id}' is in use.", hint="Try again when its requests have ended.")
            await self._end(id)

    def state(self, id: str) -> State:
        """Of a model's worker: stopped while nobody needs it."""
        return self._places[id].client.state if id in self._places else State.STOPPED

    @contextlib.asynccontextmanager
    async def _using(self, name: str, kind: str) -> AsyncIterator[_Place]:
        if self._watch is None:
            self._watch = asyncio.create_task(self._unload_idle(), name="unload idle GGUF embedders")
        model = await self.find(name, kind)
        if model is None:
            what = "reranker" if kind == "rerank" else "embedding model"
            hint = f"Pull one that is a GGUF: `ondol models pull hf:OWNER/NAME-GGUF` ({kind})."
            raise ModelNotFound(f"There is no {what} '{name}'.", hint=hint, param="model")
        async with self._changing:
            place = self._places.get(model.id)
            if place is None or (place.model != model and not place.users):
                await self._end(model.id)
                for other in [one for one in self._places.values() if one.model.kind == kind and not one.users]:
                    await self._end(other.model.id)
                client = VectorClient(model.path, self._settings, name=f"vectors-{model.id}", logs=self._logs)
                place = self._places[model.id] = _Place(model, client)
            place.users += 1
        try:
            yield place
        finally:
            place.users -= 1

    async def _end(self, id: str) -> None:
        """The caller holds `_changing`."""
        if (place := self._places.pop(id, None)) is not None:
            await place.client.stop()

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            async with self._changing:
                for place in list(self._places.values()):
                    if not place.users and place.client.idle_seconds > self._idle:
                        log.info("unloading %s: idle", place.model.id)
                        await self._end(place.model.id)

    async def close(self) -> None:
        """End all of them."""
        if self._watch is not None:
            self._watch.cancel()
        async with self._changing:
            for id in list(self._places):
                await self._end(id)
