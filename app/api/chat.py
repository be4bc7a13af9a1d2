"""POST /v1/chat/completions: a chat with an assistant or a raw model, streamed or whole."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.response import Stream

from app.api import choices, requests, shapes, words
from app.api.choices import Numbered, Whole
from app.api.measure import Measured
from app.api.parts import Parts
from app.api.requests import ChatRequest
from app.api.streaming import Begun, unless_gone
from app.core.records import Chance, Context, Usage
from app.core.terms import is_korean
from app.pipeline.question import last_said
from app.pipeline.steps import Call, Done, Source, Status, Text, Thought


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
    generations = requests.chat_generations(data, await words.biases(parts.service, data))
    # Errors are read by whoever asked: they are told in the question's language.
    korean = request.state["korean"] = is_korean(last_said(generations[0].messages))
    measured = Measured(parts.metrics, "chat.completions", data.model)
    task = request.headers.get("x-owui-task", "")
    runs = [partial(parts.service.run, data.model, generation, context, task=task) for generation in generations]
    steps = measured.watch(choices.several(runs, each=len(runs)))
    headers = {"x-request-id": context.request_id}
    if not data.stream:
        body = await unless_gone(request, _whole(steps, data))
        return Response(body, headers=headers)
    begun = Begun(steps, korean=korean)
    try:
        await unless_gone(request, begun.begin())
    except BaseException:
        await begun.close()
        raise
    render = _Chunks(data, wants_events(request, data))
    return Stream(begun.events(render, measured.failed), media_type="text/event-stream", headers={**headers, "cache-control": "no-cache"})


async def _whole(steps: AsyncGenerator[Numbered, None], request: ChatRequest) -> dict[str, Any]:
    found = await choices.gather(steps, request.choices)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [_choice(index, one) for index, one in enumerate(found)],
        "usage": shapes.usage(choices.total([one.done.usage for one in found])),
        **shapes.about(found[0].done),
    }


def _choice(index: int, one: Whole) -> dict[str, Any]:
    cited = [shapes.annotation(citation) for citation in one.done.citations]
    calls = shapes.tool_calls(one.calls)
    message = {"role": "assistant", "content": None if calls and not one.text else one.text, "refusal": None, "annotations": cited}
    if calls:
        message["tool_calls"] = calls
    if one.thought:
        message["reasoning_content"] = one.thought
    return {
        "index": index,
        "message": message,
        "logprobs": shapes.chat_chances(one.chances),
        "finish_reason": one.done.finish_reason,
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
        self._count = request.choices
        self._begun: set[int] = set()
        self._used: list[Usage] = []

    def __call__(self, one: Numbered) -> list[dict[str, Any]]:
        """The chunks of one step."""
        step = one.step
        if isinstance(step, Status | Source):
            # Choices search the same: a person is told once.
            if not self._events or one.choice:
                return []
            return [self._event(shapes.status_event(step) if isinstance(step, Status) else shapes.source_event(step))]
        if isinstance(step, Text):
            return [self._chunk(one.choice, {"content": step.text}, step.chances)]
        if isinstance(step, Thought):
            return [self._chunk(one.choice, {"reasoning_content": step.text})]
        if isinstance(step, Call):
            return [self._chunk(one.choice, {"tool_calls": [shapes.tool_call_delta(step.part)]})]
        return self._last(one.choice, step)

    def _last(self, choice: int, done: Done) -> list[dict[str, Any]]:
        # Who is shown source events would count annotations as sources once more.
        cited = [] if self._events else [shapes.annotation(one) for one in done.citations]
        chunks = [self._chunk(choice, {"annotations": cited})] if cited else []
        chunks.append({**self._chunk(choice, {}, finish_reason=done.finish_reason), **shapes.about(done)})
        self._used.append(done.usage)
        if self._usage and len(self._used) == self._count:
            chunks.append({**self._head, "choices": [], "usage": shapes.usage(choices.total(self._used))})
        return chunks

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        return {**self._head, "choices": [], "event": event}

    def _chunk(
        self, choice: int, delta: dict[str, Any], chances: tuple[Chance, ...] = (), finish_reason: str | None = None
    ) -> dict[str, Any]:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", **delta}
        told = {"index": choice, "delta": delta, "logprobs": shapes.chat_chances(chances), "finish_reason": finish_reason}
        return {**self._head, "choices": [told]}
