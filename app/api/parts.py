"""What the API is handed by `app.main`: everything it speaks to, ready made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.api.metrics import Metrics
from app.core.records import Context, SearchQuery, SearchResult, StoreInfo
from app.pipeline.service import Service


class Stores(Protocol):
    """The stores on this machine."""

    async def stores(self) -> Sequence[StoreInfo]:
        """All of them."""
        ...

    async def search(self, store: str, query: SearchQuery, context: Context) -> SearchResult:
        """Hybrid search in one. StoreNotFound where there is none."""
        ...


@dataclass(frozen=True)
class Embedded:
    """Vectors of one request: float32 rows in one piece, and what they cost. `fingerprint` changes with anything that changes vectors."""

    model: str
    fingerprint: str
    data: bytes
    dimensions: int
    tokens: int


class Embeddings(Protocol):
    """The embedding models on this machine."""

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> Embedded:
        """ModelNotFound where there is no such model."""
        ...


@dataclass(frozen=True)
class Access:
    """Who may speak to the server: the key, and the names under which a browser may have found it."""

    key: str
    hosts: frozenset[str]
    origins: frozenset[str]


@dataclass(frozen=True)
class Parts:
    """All of it. `health` returns a state per part and never waits."""

    service: Service
    stores: Stores
    embeddings: Embeddings
    access: Access
    metrics: Metrics
    health: Callable[[], Awaitable[dict[str, Any]]]
    instance: str
    version: str
    started: float
