"""The ASGI application: routes, errors, the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from litestar import Litestar
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp

from app.api.chat import chat_completions
from app.api.completions import completions
from app.api.embeddings import embeddings
from app.api.errors import LARGEST_BODY, respond
from app.api.guard import Guard
from app.api.health import live, metrics, ready
from app.api.infill import infill
from app.api.management import download_model, list_managed, load_model, model_events, remove_model, unload_model
from app.api.models import get_model, list_models
from app.api.parts import Parts
from app.api.rerank import rerank
from app.api.sources import list_sources, schedule_sources, sync_sources
from app.api.vector_stores import get_store, list_stores, search_store
from app.api.words import apply_template, detokenize, list_adapters, tokenize

HANDLERS = (
    *(list_models, get_model, chat_completions, completions, embeddings, rerank),
    *(infill, tokenize, detokenize, apply_template, list_adapters),
    *(list_stores, get_store, search_store),
    *(list_sources, sync_sources, schedule_sources),
    *(list_managed, download_model, remove_model, load_model, unload_model, model_events),
    *(live, ready, metrics),
)


def application(
    parts: Parts, *, starts: Sequence[Callable[[], Awaitable[None]]] = (), stops: Sequence[Callable[[], Awaitable[None]]] = ()
) -> ASGIApp:
    """The whole server over ready-made parts. `starts` and `stops` run with the event loop's life."""
    app = Litestar(
        route_handlers=list(HANDLERS),
        exception_handlers={Exception: respond},
        state=State({"parts": parts}),
        on_startup=list(starts),
        on_shutdown=list(stops),
        request_max_body_size=LARGEST_BODY,
        openapi_config=OpenAPIConfig(title="Ondol", version=parts.version, path="/schema", render_plugins=[JsonRenderPlugin(path="/")]),
        logging_config=None,
    )
    return Guard(app, parts.access)
