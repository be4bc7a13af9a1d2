"""POST /v1/embeddings: texts to vectors, as numbers or as base64 of float32."""

from __future__ import annotations

import base64
from array import array
from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.params import JSONBody

from app.api.measure import counted
from app.api.parts import Parts
from app.api.requests import EmbeddingRequest
from app.api.streaming import unless_gone
from app.core.errors import BadRequest

MOST = 2048


@post("/v1/embeddings", status_code=200, tags=["OpenAI"])
async def embeddings(request: Request[Any, Any, State], state: State, data: JSONBody[EmbeddingRequest]) -> dict[str, Any]:
    """Embed texts."""
    parts: Parts = state.parts
    texts = [data.input] if isinstance(data.input, str) else data.input
    if not 0 < len(texts) <= MOST:
        raise BadRequest(f"Send between 1 and {MOST} texts; there are {len(texts)}.", param="input")
    if any(not text.strip() for text in texts):
        raise BadRequest("An empty text has no meaning to embed.", hint="Leave empty texts out.", param="input")
    with counted(parts.metrics, "embeddings") as cost:
        made = await unless_gone(request, parts.embeddings.embed(data.model, texts, query=data.input_type == "query"))
        if data.dimensions not in (None, made.dimensions):
            raise BadRequest(f"The model '{made.model}' has {made.dimensions} dimensions, not {data.dimensions}.", param="dimensions")
        cost.model = made.model
    row = made.dimensions * 4
    rows = [made.data[start : start + row] for start in range(0, len(made.data), row)]
    return {
        "object": "list",
        "model": made.model,
        "fingerprint": made.fingerprint,
        "data": [{"object": "embedding", "index": index, "embedding": _as(data.encoding_format, one)} for index, one in enumerate(rows)],
        "usage": {"prompt_tokens": made.tokens, "total_tokens": made.tokens},
    }


def _as(form: str, row: bytes) -> str | list[float]:
    return base64.b64encode(row).decode() if form == "base64" else array("f", row).tolist()
