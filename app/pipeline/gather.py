"""All sources of an assistant searched at once, each with its own deadline; one that fails is named and the rest go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.core.errors import OndolError, foreign
from app.core.records import Context, Passage, SearchQuery, SearchResult
from app.sources.contract import Source

log = logging.getLogger(__name__)
RRF_K = 60


@dataclass(frozen=True)
class Wired:
    """A source as the configuration weighs it; `deadline` in seconds."""

    source: Source
    weight: float = 1.0
    deadline: float = 10.0


async def gather(wired: Mapping[str, Wired], query: SearchQuery, context: Context) -> SearchResult:
    """One result of all sources. Its relevance is the best of them; a source that fails or is late stands in `failed`."""
    names = list(wired)
    answers = await asyncio.gather(*(_one(wired[name], query, context) for name in names), return_exceptions=True)
    failed: dict[str, str] = {}
    found: dict[str, SearchResult] = {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, SearchResult):
            found[name] = answer
            failed.update({f"{name}: {leg}": reason for leg, reason in answer.failed.items()})
        elif isinstance(answer, Exception):
            log.warning("source %s failed: %s", name, answer)
            failed[name] = str(foreign(answer))
        elif isinstance(answer, BaseException):
            raise answer
    if not found:
        raise OndolError(
            "No data source answered: " + "; ".join(f"{name}: {reason}" for name, reason in failed.items()), code="sources_failed"
        )
    return SearchResult(
        passages=tuple(merge([(wired[name].weight, result.passages) for name, result in found.items()], query.limit)),
        relevance=max(result.relevance for result in found.values()),
        trust=min(result.trust for result in found.values()),
        failed=failed,
    )


async def _one(wired: Wired, query: SearchQuery, context: Context) -> SearchResult:
    try:
        async with asyncio.timeout(wired.deadline):
            return await wired.source.find(query, context)
    except TimeoutError:
        raise OndolError(f"no answer within {wired.deadline:g} s") from None


def merge(lists: Sequence[tuple[float, Sequence[Passage]]], limit: int) -> list[Passage]:
    """Several ranked lists as one, by weighted reciprocal rank; a single list stays as it is. Scores become the fused ones."""
    if len(lists) == 1:
        return list(lists[0][1][:limit])
    scores: dict[tuple[str, str], float] = {}
    first: dict[tuple[str, str], Passage] = {}
    for weight, passages in lists:
        for rank, passage in enumerate(passages):
            key = (passage.store, passage.id)
            scores[key] = scores.get(key, 0.0) + weight / (RRF_K + rank + 1)
            first.setdefault(key, passage)
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return [msgspec.structs.replace(first[key], score=scores[key]) for key in order[:limit]]
