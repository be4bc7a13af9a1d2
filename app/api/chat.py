"""POST /v1/chat/completions: a chat with an assistant or a raw model, streamed or whole."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.response import Stream

from app.api import shapes
from app.api.measure import Measured
from app.api.parts import Parts
from app.api.shapes import ChatRequest
from app.api.streaming import Begun, unless_gone, whole
from app.core.records import Context
from app.core.terms import is_korean
from app.pipeline.question import last_said
from app.pipeline.steps import Done, Source, Status, Step, Text, Thought


def context_of(request: Request[Any, Any, State]) -> Context:
    """Who asks, and in which chat, from the headers."""
    chat_id, given = request.headers.get("x-owui-chat-id", "")[:128], request.headers.get("x-request-id", "")
    usable = given.isascii() and given.replace("-", "").isalnum()
    return Context(request_id=given[:64], chat_id=chat_id) if usable else Context(chat_id=chat_id)


def wants_events(request: Request[Any, Any, State], body: ChatRequest) -> bool:
    """Events go only to those who ask: Open WebUI by its headers, others by `stream_options.include_events`."""
    asked = body.stream_options is not None and body.stream_options.include_events
    return asked or any(name.startswith(("x-owui-", "x-openwebui-")) for name in request.headers)


@post("/v1/chat/completions", status_code=200, tags=["OpenAI"])
async def chat_completions(request: Request[Any, Any, State], state: State, data: JSONBody[ChatRequest]) -> Response[Any]:
    """Chat with an assistant or a model."""
    parts: Parts = state.parts
    context = context_of(request)
    generation = shapes.chat_generation(data)
    # Errors are read by whoever asked: they are told in the question's language.
    korean = request.state["korean"] = is_korean(last_said(generation.messages))
    measured = Measured(parts.metrics, "chat.completions", data.model)
    task = request.headers.get("x-owui-task", "")
    steps = measured.watch(parts.service.run(data.model, generation, context, task=task))
    headers = {"x-request-id": context.request_id}
    if not data.stream:
        body = await unless_gone(request, _whole(steps, data.model))
        return Response(body, headers=headers)
    begun = Begun(steps, korean=korean)
    try:
        await unless_gone(request, begun.begin())
    except BaseException:
        await begun.close()
        raise
    render = _Chunks(data, wants_events(request, data))
    return Stream(begun.events(render, measured.failed), media_type="text/event-stream", headers={**headers, "cache-control": "no-cache"})


async def _whole(steps: AsyncGenerator[Step, None], model: str) -> dict[str, Any]:
    text, thought, done = await whole(steps)
    cited = [shapes.annotation(one) for one in done.citations]
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": cited}
    if thought:
        message["reasoning_content"] = thought
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}],
        "usage": shapes.usage(done.usage),
        **shapes.about(done),
    }


class _Chunks:
    """Steps as chat chunks."""

    def __init__(self, request: ChatRequest, events: bool) -> None:
        self._events = events
        self._usage = request.stream_options is not None and request.stream_options.include_usage
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": request.model,
        }
        self._begun = False

    def __call__(self, step: Step) -> list[dict[str, Any]]:
        """The chunks of one step."""
        if isinstance(step, Status):
            return [self._event(shapes.status_event(step))] if self._events else []
        if isinstance(step, Source):
            return [self._event(shapes.source_event(step))] if self._events else []
        if isinstance(step, Text):
            return [self._chunk({"content": step.text})]
        if isinstance(step, Thought):
            return [self._chunk({"reasoning_content": step.text})]
        return self._last(step)

    def _last(self, done: Done) -> list[dict[str, Any]]:
        # Who is shown source events would count annotations as sources once more.
        cited = [] if self._events else [shapes.annotation(one) for one in done.citations]
        chunks = [self._chunk({"annotations": cited})] if cited else []
        chunks.append({**self._chunk({}, done.finish_reason), **shapes.about(done)})
        if self._usage:
            chunks.append({**self._head, "choices": [], "usage": shapes.usage(done.usage)})
        return chunks

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        return {**self._head, "choices": [], "event": event}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        if not self._begun:
            delta, self._begun = {"role": "assistant", **delta}, True
        return {**self._head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}
