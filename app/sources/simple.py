"""A plain class with `async search(query)` as a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import UpstreamError
from app.core.records import Context, Passage, SearchQuery, SearchResult
from app.sources.contract import SimpleSource


class SimpleAdapter:
    """Wraps the simple form into the full one. What it finds counts as relevant: it alone knows its scores."""

    def __init__(self, name: str, wrapped: SimpleSource) -> None:
        self._name, self._wrapped = name, wrapped

    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        """Its texts or mappings, as passages in the order in which they came."""
        try:
            found = await self._wrapped.search(query.text)
            passages = [_passage(self._name, place, item) for place, item in enumerate(list(found)[: query.limit])]
        except Exception as error:
            raise UpstreamError(f"The source '{self._name}' failed: {type(error).__name__}: {error}") from error
        readable = [passage for passage in passages if context.principal.may_read(passage.access)]
        return SearchResult(tuple(readable), relevance=1.0 if readable else 0.0)

    async def close(self) -> None:
        """Closed too where the class knows how."""
        close = getattr(self._wrapped, "close", None)
        if close is not None and hasattr(made := close(), "__await__"):
            await made


def _passage(source: str, place: int, item: Any) -> Passage:
    if isinstance(item, Mapping):
        known = {name: item[name] for name in Passage.__struct_fields__ if name in item}
        text = str(item.get("text") or item.get("content") or "")
        named = {"id": str(item.get("id", place)), "document_id": str(item.get("id", place)), "score": 1.0 / (place + 1), "relevance": 1.0}
        return msgspec.convert({**named, **known, "text": text, "source": source, "store": source}, Passage, strict=False)
    return Passage(
        id=str(place), document_id=str(place), text=str(item), source=source, store=source, score=1.0 / (place + 1), relevance=1.0
    )
