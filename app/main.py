"""The one place where concrete parts are wired: settings in, a ready application out.

Parts load when they are configured: no native library is imported here or in what this imports; the workers that need one are
processes of their own.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from litestar.types import ASGIApp

from app.api.asgi import application
from app.api.metrics import Metrics
from app.api.parts import Access, Parts
from app.assistants import assistants, unknown_sources
from app.backends import simple as simple_backend
from app.backends.contract import Backend, SimpleBackend
from app.backends.llama import LlamaBackend
from app.core import egress
from app.core.credentials import api_key
from app.core.errors import BadSetting
from app.core.machine import Machine
from app.core.paths import Home
from app.core.registry import load
from app.core.settings import Plug, Settings
from app.local.keeping import LocalKeeping
from app.local.models import LocalModels
from app.local.parts import LocalEmbeddings, LocalParts, LocalStores, StoreCounters
from app.local.sentences import LocalSentences
from app.local.vectors import LocalVectors
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.gather import Wired
from app.pipeline.service import DEFAULT, Service
from app.sources import simple as simple_source
from app.sources.contract import SimpleSource, Source
from app.sources.store import StoreSource
from app.state.answers import AnswerLog
from ingest.chunking import ChunkOptions
from ingest.freshness import FreshnessChecker
from ingest.index.client import IndexClient
from ingest.keeping.keeper import Keeper, Pace
from ingest.search.hybrid import Searcher
from ingest.search.relevance import DEFAULT_THRESHOLD
from models.downloads import Downloads
from models.embed_client import EmbedClient
from models.engine.vectors import VectorSettings
from models.installed import InstalledModel
from models.library import Library
from models.precision import Precisions

log = logging.getLogger(__name__)
LOCAL = "local"
# A store of this machine is waited for while its embedder loads: a slow disk and two old cores need half a minute.
COLD_START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """A wired server: its application, and the token that tells this run from any other. `closing` ends streams that have no end."""

    app: ASGIApp
    instance: str
    version: str
    closing: Callable[[], None]


def version() -> str:
    """Of the installed distribution."""
    try:
        return metadata.version("ondol")
    except metadata.PackageNotFoundError:
        return "0"


def build(home: Home, settings: Settings) -> Server:
    """Wire everything over this home. BadSetting where the configuration can't be carried out."""
    egress.quiet_libraries(os.environ)
    if settings.network == "offline":
        # Before any part is made: a source's own code runs then. (Configured, the guard waits for the addresses of the backends made.)
        egress.install(egress.policy_for("offline", sources=[plug.config for plug in settings.sources.values()]))
    instance, started = secrets.token_hex(8), time.time()

    library = Library(home.models, offline=settings.network == "offline")

    def embedding_model() -> InstalledModel:
        return library.find(settings.models.embedder, "embedding")

    embed = EmbedClient(
        embedding_model,
        logs=home.logs,
        threads=settings.models.threads,
        idle_seconds=settings.models.embedder_idle_minutes * 60 or math.inf,
        precisions=Precisions(home.cache / "tuning"),
        installed=library.list,
    )

    async def fingerprint() -> str:
        return (await embed.info()).fingerprint

    index = IndexClient(home, logs=home.logs)
    searcher = Searcher(home.book, embed, index, StoreCounters(library.list))
    stores = LocalStores(searcher)
    local = LocalParts(stores, index, embed)
    keeping = LocalKeeping(home, Keeper(home, pace=Pace(stuck=settings.ingest.stuck_minutes * 60)))

    machine = Machine(home, settings, searcher, library)
    backends = _backends(settings, machine)
    local_name, engines = next((name, backend) for name, backend in backends.items() if isinstance(backend, LlamaBackend))
    sources = _sources(settings, machine)
    asked = [*(plug.config for plug in settings.backends.values()), *(getattr(backend, "address", "") for backend in backends.values())]
    egress.install(egress.policy_for(settings.network, backends=asked, sources=[plug.config for plug in settings.sources.values()]))
    ledger = AnswerLog(home.state)
    freshness = FreshnessChecker(home, ChunkOptions(tokens=settings.ingest.chunk_tokens, overlap=settings.ingest.chunk_overlap))
    chosen = settings.models
    vectors = LocalVectors(
        library,
        VectorSettings(chosen.context, chosen.threads, chosen.gpu_layers),
        logs=home.logs,
        idle_seconds=chosen.embedder_idle_minutes * 60 or math.inf,
    )
    managed = LocalModels(library, engines, embed, Downloads(library), stores.stores, vectors)

    async def current() -> Mapping[str, Assistant]:
        known = await stores.stores()
        wired = {store.name: Wired(StoreSource(searcher, store.name), deadline=COLD_START_SECONDS) for store in known}
        return assistants(settings, backends[local_name], backends, sources, wired, DEFAULT_THRESHOLD, known)

    service = Service(
        backends,
        backends.get(DEFAULT, backends[local_name]),
        current,
        Answerer(LocalSentences(embed, fingerprint), ledger, freshness, freshness_seconds=settings.processing.freshness_seconds),
        task_model=settings.tasks.model,
    )

    async def health() -> dict[str, Any]:
        models = [model for model in (await service.listing()).models if model.kind == "chat"]
        engine = next((model.state for model in models if model.state in ("loaded", "loading", "failed")), "idle")
        state = "ready" if engine == "loaded" else engine
        running, waiting = engines.crowd
        return {**await local.health(), "engine": {"state": state, "models": len(models), "running": running, "waiting": waiting}}

    async def starts() -> None:
        for name in unknown_sources(settings, await stores.stores()):
            log.warning("an assistant names the source '%s', which is neither configured nor a store yet", name)
        await local.start()
        await keeping.start()

    async def stops() -> None:
        await keeping.stop()
        await managed.close()
        await service.close()
        await vectors.close()
        for wired in sources.values():
            await wired.source.close()
        await local.stop()
        await freshness.close()
        ledger.close()

    hosts = frozenset(host.lower() for host in (settings.server.host, *settings.server.allowed_hosts))
    access = Access(api_key(home), hosts, frozenset(settings.server.cors_origins))
    parts = Parts(
        service, stores, LocalEmbeddings(embed, vectors), managed, keeping, access, Metrics(), health, instance, version(), started
    )
    return Server(application(parts, starts=[starts], stops=[stops]), instance, parts.version, parts.closing.set)


def _backends(settings: Settings, machine: Machine) -> dict[str, Backend]:
    """The configured backends, and this machine's own models among them, configured or not."""
    made = {name: _backend(name, plug, machine) for name, plug in settings.backends.items()}
    if not any(plug.type == "llama" for plug in settings.backends.values()):
        made[LOCAL] = _backend(LOCAL, Plug(type="llama"), machine)
    return made


def _backend(name: str, plug: Plug, machine: Machine) -> Backend:
    made = _make("backends", name, plug, machine)
    if isinstance(made, Backend):
        return made
    if isinstance(made, SimpleBackend):
        return simple_backend.SimpleAdapter(name, made)
    raise BadSetting(f"The backend '{name}': {plug.type} has neither process_query and get_model_info nor the full contract.")


def _sources(settings: Settings, machine: Machine) -> dict[str, Wired]:
    return {name: Wired(_source(name, plug, machine), plug.weight, plug.deadline) for name, plug in settings.sources.items()}


def _source(name: str, plug: Plug, machine: Machine) -> Source:
    made = _make("sources", name, plug, machine)
    if isinstance(made, Source):
        return made
    if isinstance(made, SimpleSource):
        return simple_source.SimpleAdapter(name, made)
    raise BadSetting(f"The source '{name}': {plug.type} has neither `async search(query)` nor the full contract.")


def _make(group: Literal["backends", "sources"], name: str, plug: Plug, machine: Machine) -> object:
    """What a registered factory makes; or a plain class, with its config as keyword arguments."""
    make: Any = load(group, plug.type)
    if not isinstance(make, type):
        return make(name, plug.config, machine)
    try:
        return make(**plug.config)
    except TypeError as error:
        raise BadSetting(f"'{name}': {make.__name__} does not take this config: {error}.") from None
