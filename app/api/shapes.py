"""OpenAI's wire shapes: the one file that knows them. Unknown fields are ignored, known ones are checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from app.backends.contract import ModelInfo
from app.core.errors import BadRequest
from app.core.records import Generation, Message, Passage, Sampling, Usage
from app.pipeline.assistant import Assistant
from app.pipeline.steps import Citation, Done, Source, Status
from app.pipeline.waiting import size

Penalty = Annotated[float, Meta(ge=-2, le=2)]


class StreamOptions(msgspec.Struct):
    """`include_usage` adds a last chunk with the tokens; `include_events` (ours) asks for Open WebUI's events."""

    include_usage: bool = False
    include_events: bool = False


class WireMessage(msgspec.Struct):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class SamplingFields(msgspec.Struct, kw_only=True):
    """What chat and plain completions share."""

    model: str = "default"
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    ignore_eos: bool = False


class ChatRequest(SamplingFields, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionRequest(SamplingFields, kw_only=True):
    """POST /v1/completions."""

    prompt: str | list[str]


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """POST /v1/embeddings. `input_type` (ours) says whether the texts are questions; some models want to know."""

    model: str = "default"
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: Literal["passage", "query"] = "passage"


class RankingOptions(msgspec.Struct, kw_only=True):
    """What a search leaves out."""

    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class StoreSearchRequest(msgspec.Struct, kw_only=True):
    """POST /v1/vector_stores/{id}/search."""

    query: str | list[str]
    max_num_results: Annotated[int, Meta(ge=1, le=50)] = 10
    filters: dict[str, Any] | None = None
    ranking_options: RankingOptions | None = None


def sampling(request: SamplingFields) -> Sampling:
    """The request's sampling over our defaults."""
    given = {name: value for name in Sampling.__struct_fields__ if (value := getattr(request, name)) is not None}
    return Sampling(**given)


def _only_one(request: SamplingFields) -> None:
    if request.n not in (None, 1):
        raise BadRequest("Only one choice per request is made: n must be 1.", param="n")


def _stops(request: SamplingFields) -> tuple[str, ...]:
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return tuple(stop for stop in stops if stop)


def chat_generation(request: ChatRequest) -> Generation:
    """A chat request as the pipeline's record."""
    _only_one(request)
    return Generation(
        messages=tuple(Message(**msgspec.structs.asdict(message)) for message in request.messages),
        sampling=sampling(request),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=_stops(request),
        ignore_eos=request.ignore_eos,
        template_values=request.chat_template_kwargs or {},
    )


def completion_generation(request: CompletionRequest, prompt: str) -> Generation:
    """One prompt of a completion request. OpenAI's default of 16 tokens would surprise more than it protects: none is set."""
    _only_one(request)
    return Generation(
        prompt=prompt, sampling=sampling(request), max_tokens=request.max_tokens, stop=_stops(request), ignore_eos=request.ignore_eos
    )


def usage(used: Usage) -> dict[str, Any]:
    """Tokens, with those that were not computed again."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def annotation(citation: Citation) -> dict[str, Any]:
    """A citation in OpenAI's shape; what stands beside title and url is ours."""
    passage = citation.passage
    where = {"start_index": citation.start, "end_index": citation.end, "title": passage.title or passage.document_id, "url": passage.url}
    ours = {
        "number": citation.number,
        "document_id": passage.document_id,
        "store": passage.store,
        "page": passage.page,
        "text": passage.text,
    }
    return {"type": "url_citation", "url_citation": {**where, **ours}}


def about(done: Done) -> dict[str, Any]:
    """What only we say of an answer: its id for feedback, its style, and how sure the search was."""
    if done.style == "raw":
        return {}
    return {"ondol": {"answer_id": done.answer_id, "style": done.style, "relevance": done.relevance, "failed": done.failed}}


def status_event(step: Status) -> dict[str, Any]:
    """Open WebUI's progress line."""
    return {"type": "status", "data": {"description": step.description, "done": step.done}}


def source_event(step: Source) -> dict[str, Any]:
    """Open WebUI's citation chip. `metadata.source` stays a plain name: a URL there makes the browser ask an outside host."""
    passage = step.passage
    name = passage.title or passage.document_id
    about: dict[str, Any] = {"source": name, "name": name, "document_id": passage.document_id}
    if passage.page is not None:
        about["page"] = passage.page - 1
    source = {"id": passage.document_id, "name": name, **({"url": passage.url} if passage.url else {})}
    return {
        "type": "source",
        "data": {"source": source, "document": [passage.text], "metadata": [about], "distances": [round(passage.relevance, 4)]},
    }


def model_entry(model: ModelInfo, created: int) -> dict[str, Any]:
    """A raw model in `/v1/models`, with what Open WebUI merges into its own."""
    hidden = model.kind != "chat"
    where = "local" if model.local else "cloud"
    capabilities = {"vision": False, "citations": False, "usage": True, "builtin_tools": False}
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "ondol",
        "name": model.name or model.id,
        "tags": [{"name": where}, *([{"name": "embedding"}] if hidden else [])],
        "status": {"value": model.state},
        "context_length": model.context,
        "info": {"meta": {"description": _described(model), "hidden": hidden, "capabilities": capabilities}},
    }


def _described(model: ModelInfo) -> str:
    """What a person picks a model by: its size and how much it reads at once."""
    parts = (
        f"{model.parameters / 1e9:.1f}B parameters" if model.parameters else "",
        size(model.size_bytes) if model.size_bytes else "",
        f"reads {model.context:,} tokens" if model.context else "",
    )
    return ", ".join(part for part in parts if part)


def assistant_entry(assistant: Assistant, created: int) -> dict[str, Any]:
    """An assistant in `/v1/models`."""
    meta = {
        "description": assistant.description,
        "hidden": False,
        "suggestion_prompts": [{"title": [text, ""], "content": text} for text in assistant.suggestions],
        "capabilities": {"vision": False, "citations": True, "usage": True, "builtin_tools": False},
    }
    return {
        "id": assistant.id,
        "object": "model",
        "created": created,
        "owned_by": "ondol",
        "name": assistant.name,
        "tags": [{"name": "assistant"}],
        "info": {"meta": meta},
    }


def search_hit(passage: Passage) -> dict[str, Any]:
    """One result of a store search."""
    return {
        "file_id": passage.document_id,
        "filename": passage.title or passage.document_id,
        "score": round(passage.score, 6),
        "attributes": {
            **passage.attributes,
            **({"page": passage.page} if passage.page else {}),
            **({"url": passage.url} if passage.url else {}),
        },
        "content": [{"type": "text", "text": passage.text}],
    }


def store_filters(filters: dict[str, Any] | None) -> dict[str, Any]:
    """OpenAI's filter tree as attribute = value pairs: `eq`, and `and` of those. BadRequest for what can't be kept."""
    if not filters:
        return {}
    kind = filters.get("type")
    if kind == "eq" and "key" in filters and "value" in filters:
        return {str(filters["key"]): filters["value"]}
    if kind == "and" and isinstance(filters.get("filters"), list):
        return {key: value for part in filters["filters"] for key, value in store_filters(part).items()}
    raise BadRequest(f"Filters of type '{kind}' are not supported.", hint="Use 'eq', or 'and' of those.", param="filters")
