"""POST /v1/rerank: which documents answer a question best, in the shape that Jina and Cohere share."""

from __future__ import annotations

import uuid
from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.params import JSONBody

from app.api.measure import counted
from app.api.parts import Parts
from app.api.requests import RerankRequest
from app.api.streaming import unless_gone
from app.core.errors import BadRequest

MOST = 2048


@post(["/v1/rerank", "/rerank"], status_code=200, tags=["OpenAI"])
async def rerank(request: Request[Any, Any, State], state: State, data: JSONBody[RerankRequest]) -> dict[str, Any]:
    """Score documents against a question, best first."""
    parts: Parts = state.parts
    texts = [one if isinstance(one, str) else one.text for one in data.documents]
    if not 0 < len(texts) <= MOST:
        raise BadRequest(f"Send between 1 and {MOST} documents; there are {len(texts)}.", param="documents")
    if not data.query.strip():
        raise BadRequest("The query is empty.", hint="Send the question that the documents should answer.", param="query")
    if any(not text.strip() for text in texts):
        raise BadRequest("A document is empty.", hint="Leave empty documents out.", param="documents")
    with counted(parts.metrics, "rerank") as cost:
        made = await unless_gone(request, parts.embeddings.rerank(data.model, data.query, texts))
        cost.model = made.model
    best = sorted(range(len(texts)), key=lambda index: (-made.scores[index], index))[: data.top_n]
    results = [
        {"index": index, "relevance_score": made.scores[index], **({"document": {"text": texts[index]}} if data.return_documents else {})}
        for index in best
    ]
    return {
        "id": f"rerank-{uuid.uuid4().hex}",
        "object": "list",
        "model": made.model,
        "results": results,
        "usage": {"prompt_tokens": made.tokens, "total_tokens": made.tokens},
    }
