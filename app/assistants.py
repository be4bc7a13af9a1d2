"""Which assistants there are: those of the configuration, one for each store, and one over all stores.

A store's assistant comes by itself, so that after `ondol ingest` the store can be picked in Open WebUI; a configured
assistant of the same name takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest

from app.backends.contract import Backend
from app.core.records import StoreInfo
from app.core.settings import AssistantSettings, Settings
from app.core.terms import is_korean
from app.pipeline.assistant import Assistant
from app.pipeline.gather import Wired

EVERYTHING = "ondol"
MOST_SUGGESTIONS = 4


def assistants(
    settings: Settings,
    local: Backend,
    backends: Mapping[str, Backend],
    sources: Mapping[str, Wired],
    stores: Mapping[str, Wired],
    threshold: float,
    known: Sequence[StoreInfo] = (),
) -> dict[str, Assistant]:
    """By id; the one over everything first. Pure: sources and stores are ready made, `known` says what is in the stores."""
    titles = {store.name: store.titles for store in known}

    def own(id: str, name: str, found_in: Mapping[str, Wired], description: str) -> Assistant:
        return Assistant(
            id=id,
            name=name,
            backend=local,
            sources=found_in,
            description=description,
            suggestions=suggested([titles.get(store, ()) for store in found_in]),
            threshold=threshold,
            top_k=settings.processing.search_top_k,
            budget=settings.processing.max_context_length,
            overlap=settings.processing.chunk_overlap,
            include_sources=settings.response_format.include_sources,
            structured=settings.response_format.structured,
            max_tokens=settings.response_format.max_length,
        )

    made: dict[str, Assistant] = {}
    if stores:
        korean = mostly_korean([title for store in stores for title in titles.get(store, ())])
        name, description = (
            ("Ondol: 내 모든 데이터", "이 컴퓨터의 모든 데이터") if korean else ("Ondol: all my data", "Everything on this machine")
        )
        made[EVERYTHING] = own(EVERYTHING, name, stores, description)
    for name, wired in stores.items():
        korean = mostly_korean(titles.get(name, ()))
        made[name] = own(name, name, {name: wired}, f"'{name}' 저장소에서 답합니다" if korean else f"Answers from the store '{name}'")
    for name, wanted in settings.assistants.items():
        made[name] = _configured(name, wanted, settings, local, backends, {**stores, **sources}, threshold)
    return made


def _configured(
    name: str,
    wanted: AssistantSettings,
    settings: Settings,
    local: Backend,
    backends: Mapping[str, Backend],
    sources: Mapping[str, Wired],
    threshold: float,
) -> Assistant:
    return Assistant(
        id=name,
        name=name,
        backend=backends[wanted.backend] if wanted.backend else local,
        model=wanted.model,
        sources={source: sources[source] for source in wanted.sources if source in sources},
        style=wanted.style,
        system=wanted.system,
        description=wanted.description,
        suggestions=tuple(wanted.suggestions),
        follow_ups=tuple(wanted.suggestions),
        threshold=threshold if wanted.threshold is None else wanted.threshold,
        top_k=wanted.top_k,
        budget=settings.processing.max_context_length,
        overlap=settings.processing.chunk_overlap,
        include_sources=settings.response_format.include_sources,
        structured=settings.response_format.structured,
        max_tokens=settings.response_format.max_length,
    )


def mostly_korean(titles: Sequence[str]) -> bool:
    """Whether the owner of these documents reads Korean."""
    return sum(map(is_korean, titles)) * 2 > len(titles)


def suggested(titles: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Questions to begin with, from the titles of documents: of each store by turns, in each title's language."""
    mixed = [title for title in chain.from_iterable(zip_longest(*titles)) if title][:MOST_SUGGESTIONS]
    return tuple(f"“{title}”에는 어떤 내용이 있나요?" if is_korean(title) else f"What does “{title}” say?" for title in mixed)


def unknown_sources(settings: Settings, stores: Sequence[StoreInfo]) -> list[str]:
    """Names that assistants ask for and that are neither configured sources nor stores yet: told at start, not fatal."""
    known = {*settings.sources, *(store.name for store in stores)}
    return sorted({source for wanted in settings.assistants.values() for source in wanted.sources if source not in known})
