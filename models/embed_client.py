"""The server's embedder: a worker process that starts with the first text and ends when it has been idle for a while.

No numpy here: vectors stay bytes until somebody really wants to calculate with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from app.core.workers.parent import State, Worker
from models.embed_queue import Kind
from models.embedder import EmbedderInfo, Vectors
from models.installed import InstalledModel, embedder_info


class _Running:
    """One worker process with the model that it holds, and how many requests use it."""

    def __init__(self, model: InstalledModel, worker: Worker) -> None:
        self.model, self.worker = model, worker
        self.users = 0
        self.unused = asyncio.Event()
        self.last_used = time.monotonic()


class EmbedClient:
    """The async embedder contract over a worker process. Nothing here blocks the event loop.

    `model` is an installed model, or says which one to use now (another one: the next request starts a worker for it, and the
    old one ends after its last request). `threads` 0: torch's own choice. `idle_seconds` without a request end the worker.
    """

    def __init__(
        self, model: InstalledModel | Callable[[], InstalledModel], *, logs: Path, threads: int = 0, idle_seconds: float = 1800.0
    ) -> None:
        self._model: Callable[[], InstalledModel] = model if callable(model) else lambda: model
        self._logs, self._threads, self._idle_seconds = logs, threads, idle_seconds
        self._running: _Running | None = None
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
        """Of the model in use, from its folder: the worker is not started for it. ModelNotFound where there is none."""
        return embedder_info(await asyncio.to_thread(self._model))

    async def start(self) -> EmbedderInfo:
        """Start the worker before the first text needs it; ItemError, NotReady."""
        running = self._use(await asyncio.to_thread(self._model))
        try:
            await running.worker.start()
        finally:
            self._release(running)
        return embedder_info(running.model)

    async def vectors_bytes(self, texts: Sequence[str], kind: str = Kind.QUERY, *, request_id: str = "") -> tuple[bytes, int]:
        """(rows of little-endian float32, dimensions). `kind` is "query" or "passage". WorkerDied, NotReady, ItemError, ModelNotFound."""
        model = await asyncio.to_thread(self._model)
        if not texts:
            return b"", embedder_info(model).dimensions
        running = self._use(model)
        try:
            body = await running.worker.call(Kind(kind), {"texts": list(texts)}, request_id=request_id)
        finally:
            self._release(running)
        return body["vectors"], body["dimensions"]

    async def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        return _matrix(*await self.vectors_bytes(texts, Kind.PASSAGE))

    async def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions."""
        return _matrix(*await self.vectors_bytes(texts, Kind.QUERY))

    async def stop(self) -> None:
        """End the worker; requests under way fail. The next request starts a new one."""
        running, self._running = self._running, None
        for ending in self._endings:
            ending.cancel()
        if running is not None:
            await running.worker.stop()
        if self._endings:
            await asyncio.wait(self._endings)

    def _use(self, model: InstalledModel) -> _Running:
        if self._running is not None and self._running.model != model:
            self._retire(self._running)
        if self._running is None:
            settings = {"folder": str(model.path), "model": model.id, "threads": self._threads}
            self._running = _Running(model, Worker("embed", "models.embed_worker", settings, logs=self._logs))
            self._later(self._end_when_idle(self._running))
        self._running.users += 1
        self._running.unused.clear()
        return self._running

    def _release(self, running: _Running) -> None:
        running.users -= 1
        if running.users == 0:
            running.unused.set()
        running.last_used = time.monotonic()

    def _retire(self, running: _Running) -> None:
        """New requests go elsewhere from now on; the process ends with the last of its own."""
        self._running = None
        if not running.users:
            running.unused.set()
        self._later(self._end_when_unused(running))

    def _later(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending, name="end embed worker")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end_when_idle(self, running: _Running) -> None:
        while self._running is running:
            idle = 0.0 if running.users else time.monotonic() - running.last_used
            if idle >= self._idle_seconds:
                # First out of reach, then ended: a request that comes now starts its own.
                self._running = None
                await running.worker.stop()
                return
            await asyncio.sleep(max(0.05, self._idle_seconds - idle))

    async def _end_when_unused(self, running: _Running) -> None:
        try:
            await running.unused.wait()
        finally:
            await running.worker.stop()


def _matrix(rows: bytes, dimensions: int) -> Vectors:
    import numpy as np

    return np.frombuffer(rows, dtype="<f4").reshape(-1, dimensions).astype(np.float32, copy=False)
