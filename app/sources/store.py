"""A store on this machine as a source: ingest's hybrid search on somebody's behalf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.errors import BadSetting
from app.core.machine import Machine
from app.core.records import Context, SearchQuery, SearchResult
from ingest.search.hybrid import Searcher


class StoreSource:
    """One store by name."""

    def __init__(self, searcher: Searcher, store: str) -> None:
        self._searcher, self._store = searcher, store

    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        """Passages that the principal may read, best first."""
        return await self._searcher.search(self._store, query, context)

    async def close(self) -> None:
        """The searcher is shared: whoever made it closes it."""


def make(name: str, config: Mapping[str, Any], machine: Machine) -> StoreSource:
    """The entry point `ondol.sources: store`. `config.store` names the store; without it the source's own name does."""
    if unknown := set(config) - {"store"}:
        raise BadSetting(f"The source '{name}' has an unknown key '{min(unknown)}'.", hint="A source of type store knows `store`.")
    return StoreSource(machine.searcher, str(config.get("store") or name))
