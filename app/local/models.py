"""The models of this machine as their owner manages them: what is here and on its way, loaded, unloaded, brought and removed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from app.api.parts import ManagedModel
from app.backends.contract import ModelInfo
from app.core.errors import BadRequest, Conflict, ModelNotFound, OndolError
from app.core.records import StoreInfo
from app.core.workers.parent import State
from app.local.vectors import LocalVectors
from models.downloads import Download, Downloads
from models.embed_client import EmbedClient
from models.library import Library
from models.pull import reference

# An answer within this time can say what is wrong with a source; a hub that is slower than that is heard in the list.
BEGIN_PATIENCE = 5.0
LOAD_PATIENCE = 60.0
_STATES = {State.READY: "loaded", State.STARTING: "loading", State.WAITING: "loading", State.FAILED: "failed"}


class Engines(Protocol):
    """What loads chat models: the local backend."""

    async def models(self) -> Sequence[ModelInfo]:
        """Every model of the library, at once."""
        ...

    async def load(self, model: str) -> None:
        """Into memory; ModelNotFound, and what keeps it from loading."""
        ...

    async def unload(self, model: str) -> None:
        """Out of memory; ModelNotFound, Conflict while it answers."""
        ...


class LocalModels:
    """`app.api.parts.Management` over the library, the engines, the embed worker and the pulls under way."""

    def __init__(
        self,
        library: Library,
        engines: Engines,
        embed: EmbedClient,
        downloads: Downloads,
        stores: Callable[[], Awaitable[Sequence[StoreInfo]]],
        vectors: LocalVectors,
    ) -> None:
        self._vectors = vectors
        self._library, self._engines, self._embed, self._downloads, self._stores = library, engines, embed, downloads, stores
        self._loads: set[asyncio.Task[None]] = set()

    async def models(self) -> Sequence[ManagedModel]:
        """Those on this disk, then those on their way. Nothing is waited for."""
        embedder = await self._embedder()
        here = [
            ManagedModel(
                id=model.id,
                name=model.name,
                kind=model.kind,
                state=self._state(model, embedder),
                size_bytes=model.size_bytes,
                context=model.context,
                parameters=model.parameters,
                vision=model.vision,
            )
            for model in await self._engines.models()
        ]
        return [*here, *(_under_way(download) for download in self._downloads.all())]

    def _state(self, model: ModelInfo, embedder: str) -> str:
        if model.kind == "chat":
            return model.state
        return _STATES.get(self._embed.state if model.id == embedder else self._vectors.state(model.id), "unloaded")

    async def download(self, name: str) -> ManagedModel:
        """Begin a pull in the background, or go on with one. What is wrong with the name is raised at once, or within some seconds."""
        download = self._downloads.start(reference.read(name))
        return _under_way(await self._downloads.begun(download.id, BEGIN_PATIENCE))

    async def load(self, name: str) -> None:
        """Load a model; a load that takes long goes on by itself. An ended download goes on. Conflict while it is being downloaded."""
        download = self._downloads.find(name)
        if download is not None and download.state in ("failed", "stopped"):
            await self._downloads.begun(self._downloads.resume(download.id).id, BEGIN_PATIENCE)
            return
        if download is not None and download.state == "downloading":
            raise Conflict(f"'{download.id}' is still being downloaded.", hint="Load it when it is here.")
        task = asyncio.create_task(self._load(name), name=f"load {name}")
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)
        # Who asked may leave before it is done: then nobody has missed its exception.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        if (await asyncio.wait([task], timeout=LOAD_PATIENCE))[0]:
            task.result()

    async def _load(self, name: str) -> None:
        model = await self._model(name)
        if model.kind == "chat":
            await self._engines.load(model.id)
        elif model.id == await self._embedder():
            await self._embed.start()
        elif (found := await self._vectors.find(model.id, model.kind)) is not None:
            await self._vectors.load(found)
        else:
            raise BadRequest(f"Another embedding model than '{model.id}' is in use.", hint=f"`ondol models use {model.id}` changes that.")

    async def unload(self, name: str) -> None:
        """Out of memory. A download is stopped; what came stays, for the next start."""
        if (download := self._downloads.find(name)) is not None and download.state != "finished":
            await self._downloads.stop(download.id)
            return
        model = await self._model(name)
        if model.kind == "chat":
            await self._engines.unload(model.id)
        elif model.id == await self._embedder():
            await self._embed.stop()
        else:
            await self._vectors.unload(model.id)

    async def remove(self, name: str) -> None:
        """Off this disk; a download is ended, and what came of it deleted. Conflict while the model answers, or while stores need it."""
        if (download := self._downloads.find(name)) is not None and download.state != "finished":
            await self._downloads.discard(download.id)
            return
        model = await self._model(name)
        if model.kind == "chat":
            await self._engines.unload(model.id)
        elif model.id == await self._embedder():
            if stores := [store.name for store in await self._stores()]:
                raise Conflict(
                    f"'{model.id}' is what the stores are searched with ({', '.join(stores)}).",
                    hint=f"If that is meant: ondol models remove {model.id}",
                )
            await self._embed.stop()
        else:
            await self._vectors.unload(model.id)
        await asyncio.to_thread(self._library.remove, model.id)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._loads:
            task.cancel()
        await self._downloads.close()

    async def _model(self, name: str) -> ModelInfo:
        """By its id, or by the source that it was pulled from: programs go on calling a model what they asked for."""
        known = {model.id: model for model in await self._engines.models()}
        if name not in known:
            with contextlib.suppress(OndolError):
                pulled = await asyncio.to_thread(self._library.from_source, reference.read(name))
                name = pulled.id if pulled is not None else name
        if name not in known:
            raise ModelNotFound(f"There is no model '{name}' on this computer.", hint="GET /models lists them.", param="model")
        return known[name]

    async def _embedder(self) -> str:
        try:
            return (await self._embed.info()).model
        except OndolError:
            return ""


def _under_way(download: Download) -> ManagedModel:
    progress = download.progress
    return ManagedModel(
        id=download.id,
        state=download.state,
        run=download.run,
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        file=progress.text,
        becomes=download.model,
        error=download.error,
    )
