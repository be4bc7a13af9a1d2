"""GET /v1/models: assistants, chat models and embedding models; at once, whatever else goes on."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.datastructures import State
from litestar.params import FromPath

from app.api import shapes
from app.api.parts import Parts
from app.core.errors import ModelNotFound


async def _entries(parts: Parts) -> list[dict[str, Any]]:
    listing, created = await parts.service.listing(), int(parts.started)
    return [
        *(shapes.assistant_entry(one, created, vision=one.id in listing.seeing) for one in listing.assistants),
        *(shapes.model_entry(model, created) for model in listing.models),
    ]


@get("/v1/models", tags=["OpenAI"])
async def list_models(state: State) -> dict[str, Any]:
    """All that can be asked."""
    return {"object": "list", "data": await _entries(state.parts)}


@get("/v1/models/{model_id:path}", tags=["OpenAI"])
async def get_model(state: State, model_id: FromPath[str]) -> dict[str, Any]:
    """One of them."""
    name = model_id.lstrip("/")
    for entry in await _entries(state.parts):
        if entry["id"] == name:
            return entry
    raise ModelNotFound(f"There is no model '{name}'.", param="model")
