"""A GGUF that embeds or reranks as the server sees it: one worker process. Imports nothing heavy; nothing here blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.core.workers.parent import State, Worker
from models.engine.vectors import VectorInfo, VectorSettings


class VectorClient:
    """One model, in a process that a first request starts. When it dies its requests get `WorkerDied`; the next restarts it."""

    def __init__(self, model: Path, settings: VectorSettings, *, name: str, logs: Path) -> None:
        body = {"model": str(model), **msgspec.to_builtins(settings)}
        self._worker = Worker(name, "models.engine.vector_worker", body, logs=logs)

    async def start(self) -> VectorInfo:
        """Load the model if it isn't; BadRequest (code "bad_model_file") where it can't be."""
        return msgspec.convert(await self._worker.start(), VectorInfo)

    async def embed(self, texts: Sequence[str]) -> tuple[bytes, int]:
        """(rows of float32 of length 1, tokens). ContextLengthExceeded for a text that is too long."""
        answer: dict[str, Any] = await self._worker.call("embed", {"texts": list(texts)})
        return answer["data"], answer["tokens"]

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], int]:
        """(a score from 0 to 1 for each document, tokens). ContextLengthExceeded where one is too long with the question."""
        answer: dict[str, Any] = await self._worker.call("rerank", {"query": query, "documents": list(documents)})
        return answer["scores"], answer["tokens"]

    async def stop(self) -> None:
        """End the process: the memory comes back."""
        await self._worker.stop()

    @property
    def state(self) -> State:
        """stopped, starting, ready, waiting or failed."""
        return self._worker.state

    @property
    def busy(self) -> int:
        """Requests under way."""
        return self._worker.busy

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is under way."""
        return self._worker.idle_seconds

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._worker.pid
