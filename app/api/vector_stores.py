"""GET /v1/vector_stores and POST /v1/vector_stores/{id}/search, in OpenAI's shapes. A store is what `--into` names."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from app.api import shapes
from app.api.chat import context_of
from app.api.parts import Parts
from app.api.requests import StoreSearchRequest
from app.core.errors import BadRequest, StoreNotFound
from app.core.names import composed
from app.core.records import SearchQuery, StoreInfo

MOST_QUESTIONS = 64


def _entry(store: StoreInfo) -> dict[str, Any]:
    counts = {"completed": store.documents, "total": store.documents, "in_progress": 0, "failed": 0, "cancelled": 0}
    return {
        "id": store.name,
        "object": "vector_store",
        "name": store.name,
        "created_at": int(store.created_at),
        "last_active_at": None,
        "status": "completed",
        "usage_bytes": store.bytes,
        "file_counts": counts,
        "metadata": {"chunks": str(store.chunks)},
    }


@get("/v1/vector_stores", tags=["OpenAI"])
async def list_stores(state: State) -> dict[str, Any]:
    """All stores."""
    entries = [_entry(store) for store in await state.parts.stores.stores()]
    ends = {"first_id": entries[0]["id"] if entries else None, "last_id": entries[-1]["id"] if entries else None}
    return {"object": "list", "data": entries, **ends, "has_more": False}


@get("/v1/vector_stores/{store_id:str}", tags=["OpenAI"])
async def get_store(state: State, store_id: FromPath[str]) -> dict[str, Any]:
    """One store."""
    for store in await state.parts.stores.stores():
        if store.name == composed(store_id):
            return _entry(store)
    raise StoreNotFound(f"There is no store '{store_id}'.", hint="`ondol ingest status` lists them.")


@post("/v1/vector_stores/{store_id:str}/search", status_code=200, tags=["OpenAI"])
async def search_store(
    request: Request[Any, Any, State], state: State, store_id: FromPath[str], data: JSONBody[StoreSearchRequest]
) -> dict[str, Any]:
    """The passages of a store that fit a question, best first; of several questions, each one's best in turn."""
    parts: Parts = state.parts
    questions = [data.query] if isinstance(data.query, str) else data.query
    if not any(question.strip() for question in questions):
        raise BadRequest("The query is empty.", param="query")
    if len(questions) > MOST_QUESTIONS:
        raise BadRequest(f"Ask at most {MOST_QUESTIONS} questions at once; there are {len(questions)}.", param="query")
    filters, context = shapes.store_filters(data.filters), context_of(request)
    asked = [SearchQuery(question, data.max_num_results, filters) for question in questions]
    results = await parts.stores.search(store_id, asked, context)
    least = (data.ranking_options and data.ranking_options.score_threshold) or 0.0
    found = [passage for rank in range(data.max_num_results) for result in results for passage in result.passages[rank : rank + 1]]
    unique = list({passage.id: passage for passage in found if passage.score >= least}.values())[: data.max_num_results]
    return {
        "object": "vector_store.search_results.page",
        "search_query": questions,
        "data": [shapes.search_hit(passage) for passage in unique],
        "has_more": False,
        "next_page": None,
    }
