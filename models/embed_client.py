"""The server's embedder: a worker process that starts with the first text and ends when it has been idle for a while.

Beside the model in use another one may be asked for by its fingerprint: what a store was filled with answers its questions until
the store has been embedded anew. It has a second process, as long as it is asked. No numpy here: vectors stay bytes until somebody
really wants to calculate with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec

from app.core.errors import ModelNotFound, NotReady
from app.core.workers.parent import State, Worker
from models.embed_queue import Kind
from models.embedder import EmbedderInfo, Vectors
from models.installed import InstalledModel, embedder_info
from models.precision import FP32, Precisions, by_fingerprint

SPARED_SECONDS = 20.0
"""How long the worker of a model that is no longer in use waits for questions to stores that it filled."""


class _Running:
    """One worker process with the model that it holds, and how many requests use it."""

    def __init__(self, model: InstalledModel, worker: Worker, idle_seconds: float) -> None:
        self.model, self.worker, self.idle_seconds = model, worker, idle_seconds
        self.fingerprint = ""
        self.users = 0
        self.unused = asyncio.Event()
        self.last_used = time.monotonic()

    @property
    def info(self) -> EmbedderInfo | None:
        """As the worker said it in its hello; None before that."""
        meta = self.worker.meta
        return None if meta is None else msgspec.convert(meta, EmbedderInfo)


class EmbedClient:
    """The async embedder contract over a worker process. Nothing here blocks the event loop.

    `model` is an installed model, or says which one to use now (another one: the next request starts a worker for it, and the
    old one ends after its last request). `installed` lists the models that may be asked for by fingerprint. `precisions` remembers
    how exactly each calculates here; without it, in fp32. `threads` 0: torch's own choice. `idle_seconds` without a request end the worker.
    """

    def __init__(
        self,
        model: InstalledModel | Callable[[], InstalledModel],
        *,
        logs: Path,
        threads: int = 0,
        idle_seconds: float = 1800.0,
        spared_seconds: float = SPARED_SECONDS,
        precisions: Precisions | None = None,
        installed: Callable[[], Sequence[InstalledModel]] = tuple,
    ) -> None:
        self._model: Callable[[], InstalledModel] = model if callable(model) else lambda: model
        self._logs, self._threads, self._idle_seconds, self._spared_seconds = logs, threads, idle_seconds, spared_seconds
        self._precisions, self._installed = precisions, installed
        self._running: _Running | None = None
        self._older: _Running | None = None
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> State:
        """Of the worker: stopped while nobody needs it."""
        return self._running.worker.state if self._running else State.STOPPED

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._running.worker.pid if self._running else None

    async def info(self) -> EmbedderInfo:
        """Of the model in use, from its folder: the worker is not started for it. ModelNotFound where there is none.

        Before its precision was measured on this machine it is told as fp32; that is settled when the worker has started.
        """
        model = await asyncio.to_thread(self._model)
        return await self._settled(model) or embedder_info(model)

    async def _settled(self, model: InstalledModel) -> EmbedderInfo | None:
        if self._running is not None and self._running.model == model and self._running.info is not None:
            return self._running.info
        return embedder_info(model) if self._precisions is None else await asyncio.to_thread(self._precisions.info, model)

    async def start(self) -> EmbedderInfo:
        """Start the worker before the first text needs it; ItemError, NotReady."""
        running = self._use(await asyncio.to_thread(self._model))
        try:
            await running.worker.start()
        finally:
            self._release(running)
        return running.info or embedder_info(running.model)

    async def vectors_bytes(
        self, texts: Sequence[str], kind: str = Kind.QUERY, *, request_id: str = "", fingerprint: str = ""
    ) -> tuple[bytes, int]:
        """(rows of little-endian float32, dimensions). `kind` is "query" or "passage". WorkerDied, NotReady, ItemError, ModelNotFound.

        `fingerprint`: of the vectors that these must be comparable with, where it need not be the model in use. NotReady where no
        installed model gives such vectors.
        """
        running = await self._of(fingerprint) if fingerprint else None
        if running is None:
            model = await asyncio.to_thread(self._model)
            if not texts:
                return b"", embedder_info(model).dimensions
            running = self._use(model)
        try:
            body = await running.worker.call(Kind(kind), {"texts": list(texts)}, request_id=request_id)
        finally:
            self._release(running)
        return body["vectors"], body["dimensions"]

    async def _of(self, fingerprint: str) -> _Running | None:
        """The worker for these vectors; None: that of the model in use."""
        try:
            settled = await self._settled(await asyncio.to_thread(self._model))
        except ModelNotFound:
            settled = None
        if settled is not None and settled.fingerprint == fingerprint:
            return None
        found = await asyncio.to_thread(lambda: by_fingerprint(self._installed(), fingerprint))
        if found is None:
            raise NotReady(
                f"The model that this store was filled with ({fingerprint.partition(':')[0]}) is no longer installed.",
                hint="`ondol ingest sync` embeds the store anew with the model in use; or pull the old one again.",
            )
        return self._use_older(*found, fingerprint)

    async def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        return _matrix(*await self.vectors_bytes(texts, Kind.PASSAGE))

    async def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions."""
        return _matrix(*await self.vectors_bytes(texts, Kind.QUERY))

    async def stop(self) -> None:
        """End the workers; requests under way fail. The next request starts a new one."""
        ended = [running for running in (self._running, self._older) if running is not None]
        self._running = self._older = None
        for ending in self._endings:
            ending.cancel()
        for running in ended:
            await running.worker.stop()
        if self._endings:
            await asyncio.wait(self._endings)

    def _use(self, model: InstalledModel) -> _Running:
        if self._running is not None and self._running.model != model:
            self._spare(self._running)
        if self._running is None:
            self._running = self._begun(model, "" if self._precisions else FP32)
        return self._taken(self._running)

    def _use_older(self, model: InstalledModel, precision: str, fingerprint: str) -> _Running:
        if self._older is None or self._older.fingerprint != fingerprint:
            if self._older is not None:
                self._retire(self._older)
            self._older = self._begun(model, precision)
            self._older.fingerprint = fingerprint
        self._older.idle_seconds = self._idle_seconds
        return self._taken(self._older)

    def _begun(self, model: InstalledModel, precision: str) -> _Running:
        remember = str(self._precisions.folder) if self._precisions else ""
        settings = {"folder": str(model.path), "model": model.id, "threads": self._threads, "precision": precision, "remember": remember}
        running = _Running(model, Worker("embed", "models.embed_worker", settings, logs=self._logs), self._idle_seconds)
        self._later(self._end_when_idle(running))
        return running

    def _taken(self, running: _Running) -> _Running:
        running.users += 1
        running.unused.clear()
        return running

    def _release(self, running: _Running) -> None:
        running.users -= 1
        if running.users == 0:
            running.unused.set()
        running.last_used = time.monotonic()

    def _spare(self, running: _Running) -> None:
        """No longer in use: stores that it filled may ask for it still. It ends soon where none does."""
        self._running = None
        if self._older is not None:
            self._retire(self._older)
        self._older, running.idle_seconds = running, self._spared_seconds
        running.fingerprint = running.info.fingerprint if running.info else ""
        self._later(self._end_when_idle(running))

    def _retire(self, running: _Running) -> None:
        """Out of reach already; the process ends with the last of its requests."""
        if not running.users:
            running.unused.set()
        self._later(self._end_when_unused(running))

    def _later(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending, name="end embed worker")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end_when_idle(self, running: _Running) -> None:
        while running in (self._running, self._older):
            idle = 0.0 if running.users else time.monotonic() - running.last_used
            if idle >= running.idle_seconds:
                # First out of reach, then ended: a request that comes now starts its own.
                self._running = None if self._running is running else self._running
                self._older = None if self._older is running else self._older
                await running.worker.stop()
                return
            await asyncio.sleep(max(0.05, running.idle_seconds - idle))

    async def _end_when_unused(self, running: _Running) -> None:
        try:
            await running.unused.wait()
        finally:
            await running.worker.stop()


def _matrix(rows: bytes, dimensions: int) -> Vectors:
    import numpy as np

    return np.frombuffer(rows, dtype="<f4").reshape(-1, dimensions).astype(np.float32, copy=False)
