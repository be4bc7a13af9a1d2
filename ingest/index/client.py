"""The server's side of the index worker; imports neither numpy nor Chroma."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import WorkerDied
from app.core.paths import Home
from app.core.workers.parent import State, Worker
from ingest.search.visible import Restriction

_TRIES = 3


class IndexClient:
    """The vector leg over the index worker, which starts with the first request and again after it died."""

    def __init__(self, home: Home, logs: Path | None = None, *, timeout: float = 60.0) -> None:
        self._worker = Worker("index", "ingest.index.worker", {"home": str(home.root)}, logs=logs or home.logs)
        self._timeout = timeout

    async def start(self) -> None:
        """Start the worker, which begins to follow the book. Conflict where another server owns the index."""
        await self._worker.start()

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first: see `VectorSearch`. A worker that dies is asked again once it is back."""
        body = {"store": store, "vector": vector, "limit": limit, "allowed": msgspec.to_builtins(allowed), "generation": generation}
        for _ in range(_TRIES - 1):
            try:
                return await self._query(body)
            except WorkerDied:
                continue
        return await self._query(body)

    async def _query(self, body: dict[str, Any]) -> list[tuple[int, float]]:
        found = await self._worker.call("query", body, timeout=self._timeout)
        return [(int(pk), float(score)) for pk, score in found]

    async def state(self) -> list[dict[str, Any]]:
        """One entry per store: store, generation, model, dimensions, chunks, entries, pending, phase, rebuilding, bytes."""
        found: list[dict[str, Any]] = await self._worker.call("state", timeout=self._timeout)
        return found

    async def refresh(self) -> None:
        """Have it look at the book now, and not at its next turn within half a second."""
        await self._worker.call("refresh", timeout=self._timeout)

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._worker.pid

    @property
    def worker_state(self) -> State:
        """Where the worker's life stands."""
        return self._worker.state

    @property
    def reason(self) -> str:
        """Why the worker is not there, in words."""
        return self._worker.reason

    async def stop(self) -> None:
        """End the worker."""
        await self._worker.stop()
