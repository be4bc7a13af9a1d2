"""What the command line does by itself where no server runs: search the book, and find an embedder to ingest with."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from app.core.credentials import api_key
from app.core.errors import ModelNotFound
from app.core.paths import Home
from app.core.records import Context, SearchQuery
from app.core.server_record import running
from app.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from ingest.embedders import Embedders
    from models.embedder import Embedder
    from models.installed import InstalledModel
    from models.precision import Precisions


def prepared(home: Home, process: str) -> Settings:
    """Settings read, log opened, egress guarded: how every command that works by itself begins."""
    from app.core import egress, logs

    settings = load_settings(home, environ=os.environ, flags={})
    logs.setup(home.logs, process, settings.log.options)
    egress.quiet_libraries(os.environ)
    places: list[object] = [plug.config for plug in settings.sources.values()]
    if (server := running(home)) is not None:
        # It embeds for us, and may listen on an address of this machine that is not loopback.
        places.append(server.address)
    egress.install(egress.policy_for(settings.network, sources=places))
    return settings


def embedding_model(home: Home, settings: Settings) -> InstalledModel:
    """The embedding model of the settings, else the default one; ModelNotFound says how to get one."""
    from models.library import Library

    return Library(home.models).find(settings.models.embedder, "embedding")


def embedder(home: Home, settings: Settings) -> Embedder:
    """Through the running server's worker, else in this process; torch is imported with the first text."""
    model = embedding_model(home, settings)
    server = running(home)
    if server is not None:
        from models.installed import embedder_info
        from models.precision import PRECISIONS
        from models.remote_embedder import RemoteEmbedder

        return RemoteEmbedder.connect(server.address, api_key(home), [embedder_info(model, precision) for precision in PRECISIONS])
    from models.sentence import open_embedder

    return open_embedder(model, settings.models.threads, precisions=precisions(home))


def embedders(home: Home, settings: Settings) -> Embedders:
    """The embedder in use, and those that stores were filled with before it: each made when it is needed."""
    from ingest.embedders import Embedders

    def fingerprints() -> frozenset[str]:
        try:
            return precisions(home).fingerprints(embedding_model(home, settings))
        except ModelNotFound:
            return frozenset()

    def older(fingerprint: str) -> Embedder | None:
        from models.library import Library
        from models.precision import by_fingerprint

        found = by_fingerprint(Library(home.models).list(), fingerprint)
        if found is None:
            return None
        from models.sentence import open_embedder

        model, precision = found
        return open_embedder(model, settings.models.threads, precision=precision)

    return Embedders(lambda: embedder(home, settings), fingerprints, older)


def precisions(home: Home) -> Precisions:
    """How exactly each embedding model calculates on this machine, as far as that was measured."""
    from models.precision import Precisions

    return Precisions(home.cache / "tuning")


def search(home: Home, store: str, query: str, limit: int) -> list[dict[str, Any]]:
    """Hits in the API's shape, from the book alone."""
    from app.api.shapes import search_hit
    from app.local.parts import StoreCounters
    from ingest.index.exact import ExactVectors
    from ingest.search.hybrid import Searcher
    from models.embed_client import EmbedClient
    from models.library import Library

    settings, library = prepared(home, "search"), Library(home.models)

    async def run() -> list[dict[str, Any]]:
        model = embedding_model(home, settings)
        client = EmbedClient(
            model,
            logs=home.logs,
            threads=settings.models.threads,
            idle_seconds=60,
            precisions=precisions(home),
            installed=library.list,
        )
        try:
            searcher = Searcher(home.book, client, ExactVectors(home), StoreCounters(library.list))
            result = await searcher.search(store, SearchQuery(query, limit), Context())
            return [search_hit(passage) for passage in result.passages]
        finally:
            await client.stop()

    return asyncio.run(run())
