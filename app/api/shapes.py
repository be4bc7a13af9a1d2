"""OpenAI's wire shapes of what is answered. `requests` has what is asked."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

from app.backends.contract import ModelInfo
from app.core.errors import BadRequest
from app.core.records import CallPart, Chance, Passage, Usage
from app.pipeline.assistant import Assistant
from app.pipeline.steps import Citation, Done, Source, Status
from app.pipeline.waiting import size


def usage(used: Usage) -> dict[str, Any]:
    """Tokens, with those that were not computed again."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def chat_chances(chances: Iterable[Chance]) -> dict[str, Any] | None:
    """Chances in a chat's shape; None where there are none."""
    content = [{**_chance(one), "top_logprobs": [_chance(other) for other in one.top]} for one in chances]
    return {"content": content, "refusal": None} if content else None


def _chance(one: Chance) -> dict[str, Any]:
    return {"token": one.text, "logprob": _told(one.logprob), "bytes": list(one.data)}


def _told(logprob: float | None) -> float | None:
    """-9999 is OpenAI's word for no chance at all: JSON has none for infinity."""
    return None if logprob is None else max(-9999.0, logprob)


def completion_chances(chances: Iterable[Chance], offset: int = 0) -> dict[str, Any] | None:
    """Chances in a completion's shape; `offset` is where their text begins, in characters. None where there are none."""
    told: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    decoder, before = codecs.getincrementaldecoder("utf-8")("replace"), 0
    for one in chances:
        told["tokens"].append(one.text)
        told["token_logprobs"].append(_told(one.logprob))
        # Two tokens may read the same where each is a part of a character: the likelier one is told.
        best = {other.text: _told(other.logprob) for other in reversed(one.top)}
        told["top_logprobs"].append(None if one.logprob is None else best)
        told["text_offset"].append(offset + before)
        before += len(decoder.decode(one.data))
    return told if told["tokens"] else None


def tool_call_delta(part: CallPart) -> dict[str, Any]:
    """A part of a call as a stream has it: its head first, then its arguments in pieces."""
    if part.name:
        head = {"name": part.name, "arguments": part.arguments}
        return {"index": part.index, "id": part.id, "type": "function", "function": head}
    return {"index": part.index, "function": {"arguments": part.arguments}}


def tool_calls(parts: Sequence[CallPart]) -> list[dict[str, Any]]:
    """The calls that these parts make."""
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        call = calls.setdefault(part.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] += part.id
        call["function"]["name"] += part.name
        call["function"]["arguments"] += part.arguments
    return list(calls.values())


def annotation(citation: Citation) -> dict[str, Any]:
    """A citation in OpenAI's shape; what stands beside title and url is ours."""
    passage = citation.passage
    where = {"start_index": citation.start, "end_index": citation.end, "title": passage.title or passage.document_id, "url": passage.url}
    ours = {
        "number": citation.number,
        "document_id": passage.document_id,
        "store": passage.store,
        "page": passage.page,
        "line": passage.line,
        "text": passage.text,
        "freshness": citation.freshness,
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
    about: dict[str, Any] = {"source": name, "name": name, "document_id": passage.document_id, "freshness": step.freshness}
    if passage.page is not None:
        about["page"] = passage.page - 1  # Open WebUI counts from 0 and shows one more
    if passage.line is not None:
        about["line"] = passage.line
    source = {"id": passage.document_id, "name": name, **({"url": passage.url} if passage.url else {})}
    return {
        "type": "source",
        "data": {"source": source, "document": [passage.text], "metadata": [about], "distances": [round(passage.relevance, 4)]},
    }


def model_entry(model: ModelInfo, created: int) -> dict[str, Any]:
    """A raw model in `/v1/models`, with what Open WebUI merges into its own."""
    hidden = model.kind != "chat"
    where = "local" if model.local else "cloud"
    capabilities = {"vision": model.vision, "citations": False, "usage": True, "builtin_tools": False}
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "ondol",
        "name": model.name or model.id,
        "tags": [{"name": where}, *([{"name": model.kind}] if hidden else [])],
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


def assistant_entry(assistant: Assistant, created: int, *, vision: bool = False) -> dict[str, Any]:
    """An assistant in `/v1/models`; `vision`: its model sees pictures."""
    meta = {
        "description": assistant.description,
        "hidden": False,
        "suggestion_prompts": [{"title": [text, ""], "content": text} for text in assistant.suggestions],
        "capabilities": {"vision": vision, "citations": True, "usage": True, "builtin_tools": False},
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
            **({"line": passage.line} if passage.line else {}),
            **({"url": passage.url} if passage.url else {}),
        },
        "content": [{"type": "text", "text": passage.text}],
    }


def store_filters(filters: Any) -> dict[str, Any]:
    """OpenAI's filter tree as attribute = value pairs: `eq`, and `and` of those. BadRequest for what can't be kept."""
    if not filters:
        return {}
    if not isinstance(filters, dict):
        raise BadRequest("A filter is no object.", hint='Send {"type": "eq", "key": ..., "value": ...}.', param="filters")
    kind = filters.get("type")
    if kind == "eq" and "key" in filters and "value" in filters:
        return {str(filters["key"]): filters["value"]}
    if kind == "and" and isinstance(filters.get("filters"), list):
        found: dict[str, Any] = {}
        for part in filters["filters"]:
            for key, value in store_filters(part).items():
                if found.setdefault(key, value) != value:
                    raise BadRequest(f"The filter names '{key}' twice.", hint="Ask for one value of it.", param="filters")
        return found
    raise BadRequest(f"Filters of type '{kind}' are not supported.", hint="Use 'eq', or 'and' of those.", param="filters")
