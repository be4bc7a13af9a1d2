"""What the API is handed by `app.main`: everything it speaks to, ready made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.api.metrics import Metrics
from app.core.errors import OndolError
from app.core.records import Context, SearchQuery, SearchResult, StoreInfo
from app.pipeline.service import Service


class Stores(Protocol):
    """The stores on this machine."""

    async def stores(self) -> Sequence[StoreInfo]:
        """All of them."""
        ...

    async def search(self, store: str, queries: Sequence[SearchQuery], context: Context) -> Sequence[SearchResult]:
        """Hybrid search in one, for each question; all of them are answered from one moment of it. StoreNotFound where there is none."""
        ...


@dataclass(frozen=True)
class Embedded:
    """Vectors of one request: float32 rows in one piece, and what they cost. `fingerprint` changes with anything that changes vectors."""

    model: str
    fingerprint: str
    data: bytes
    dimensions: int
    tokens: int


@dataclass(frozen=True)
class Reranked:
    """A score from 0 to 1 for each document, in their order, and what it cost."""

    model: str
    scores: tuple[float, ...]
    tokens: int


class Embeddings(Protocol):
    """The embedding models and rerankers on this machine."""

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> Embedded:
        """ModelNotFound where there is no such model."""
        ...

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Reranked:
        """ModelNotFound where there is no such model, ContextLengthExceeded where a document is too long."""
        ...


@dataclass(frozen=True)
class ManagedModel:
    """A model on this computer, or a download (`run` counts its starts, 0: it is none).

    `state`: unloaded | loading | loaded | failed of a model; downloading | finished | failed | stopped of a download.
    `name` is for people, "" where it is the id; `vision`: it sees. Of a download: `id` is its source, `stage` and `file` what it is at,
    `done` and `total` its bytes (0: not known), `becomes` the id of the model that came of it.
    """

    id: str
    name: str = ""
    kind: str = "chat"
    state: str = "unloaded"
    size_bytes: int | None = None
    context: int | None = None
    parameters: int | None = None
    vision: bool = False
    run: int = 0
    stage: str = ""
    file: str = ""
    done: int = 0
    total: int = 0
    becomes: str = ""
    error: OndolError | None = None


class Management(Protocol):
    """The models of this computer, as their owner manages them. Names are ids, or sources of downloads."""

    async def models(self) -> Sequence[ManagedModel]:
        """All, at once: no load and no download is waited for."""
        ...

    async def download(self, name: str) -> ManagedModel:
        """Begin one in the background, or go on with it. BadRequest, NotFound, Forbidden, EgressRefused (offline), Busy, DiskFull."""
        ...

    async def load(self, name: str) -> None:
        """Into memory. ModelNotFound, and what keeps it from loading."""
        ...

    async def unload(self, name: str) -> None:
        """Out of memory; a download is stopped. ModelNotFound, Conflict while it answers."""
        ...

    async def remove(self, name: str) -> None:
        """Off the disk. ModelNotFound, Conflict while it is needed."""
        ...


class Keeping(Protocol):
    """The sources of the stores on this machine, as their owner manages them. Answers are plain values."""

    async def sources(self) -> dict[str, Any]:
        """How each stands, and what runs now."""
        ...

    async def ask(self, store: str, source: str | None) -> list[dict[str, str]]:
        """Run them as soon as their store is free. NotFound."""
        ...

    async def schedule(self, store: str, source: str | None, every: str, cron: str, *, on_change: bool) -> list[dict[str, str]]:
        """Choose when they are read again. BadRequest, StoreNotFound, NotFound."""
        ...


@dataclass(frozen=True)
class Access:
    """Who may speak to the server: the key, and the names under which a browser may have found it."""

    key: str
    hosts: frozenset[str]
    origins: frozenset[str]


@dataclass(frozen=True)
class Parts:
    """All of it. `health` returns a state per part and never waits. `closing` is set when the server is about to end: streams end then."""

    service: Service
    stores: Stores
    embeddings: Embeddings
    management: Management
    keeping: Keeping
    access: Access
    metrics: Metrics
    health: Callable[[], Awaitable[dict[str, Any]]]
    instance: str
    version: str
    started: float
    closing: asyncio.Event = field(default_factory=asyncio.Event)
