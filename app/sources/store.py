"""A store on this machine as a source: ingest's hybrid search on somebody's behalf."""

from __future__ import annotations

from ingest.search.hybrid import Searcher

from app.core.records import Context, SearchQuery, SearchResult


class StoreSource:
    """One store by name."""

    def __init__(self, searcher: Searcher, store: str) -> None:
        self._searcher, self._store = searcher, store

    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        """Passages that the principal may read, best first."""
        return await self._searcher.search(self._store, query, context)

    async def close(self) -> None:
        """The searcher is shared: whoever made it closes it."""
