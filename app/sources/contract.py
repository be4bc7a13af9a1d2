"""What the pipeline asks of a data source: passages for a question, on somebody's behalf."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from app.core.records import Context, SearchQuery, SearchResult


@runtime_checkable
class Source(Protocol):
    """A place where passages are found. Only passages that `context.principal` may read; errors are `OndolError`s."""

    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        """Passages, best first."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class SimpleSource(Protocol):
    """The simple form that a plain class may take instead."""

    async def search(self, query: str) -> Any:
        """A list of texts, or of mappings with "text" and, where known, "id", "title", "url", "score"."""
        ...
