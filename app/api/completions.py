"""POST /v1/completions: a raw model goes on from a text."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.response import Stream

from app.api import shapes
from app.api.chat import context_of
from app.api.measure import Measured
from app.api.parts import Parts
from app.api.shapes import CompletionRequest
from app.api.streaming import Begun, unless_gone, whole
from app.core.errors import BadRequest
from app.core.records import Usage
from app.pipeline.steps import Done, Step, Text


@post("/v1/completions", status_code=200, tags=["OpenAI"])
async def completions(request: Request[Any, Any, State], state: State, data: JSONBody[CompletionRequest]) -> Response[Any]:
    """Complete a prompt, or each of several."""
    parts: Parts = state.parts
    prompts = [data.prompt] if isinstance(data.prompt, str) else data.prompt
    if not prompts:
        raise BadRequest("The list of prompts is empty.", param="prompt")
    context = context_of(request)
    measured = Measured(parts.metrics, "completions", data.model)

    def steps(prompt: str) -> AsyncGenerator[Step, None]:
        return measured.watch(parts.service.run(data.model, shapes.completion_generation(data, prompt), context))

    head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()), "model": data.model}
    headers = {"x-request-id": context.request_id}
    if not data.stream:
        results = await unless_gone(request, asyncio.gather(*(whole(steps(prompt)) for prompt in prompts)))
        choices = [
            {"index": index, "text": text, "logprobs": None, "finish_reason": done.finish_reason}
            for index, (text, _, done) in enumerate(results)
        ]
        total = Usage(
            sum(done.usage.prompt_tokens for _, _, done in results),
            sum(done.usage.completion_tokens for _, _, done in results),
            sum(done.usage.cached_tokens for _, _, done in results),
        )
        return Response({**head, "choices": choices, "usage": shapes.usage(total)}, headers=headers)
    if len(prompts) > 1:
        raise BadRequest("Only one prompt at a time can be streamed.", hint="Send them one by one, or without stream.", param="prompt")
    begun = Begun(steps(prompts[0]))
    try:
        await unless_gone(request, begun.begin())
    except BaseException:
        await begun.close()
        raise
    wants_usage = data.stream_options is not None and data.stream_options.include_usage

    def render(step: Step) -> list[dict[str, Any]]:
        if isinstance(step, Text):
            return [{**head, "choices": [{"index": 0, "text": step.text, "logprobs": None, "finish_reason": None}]}]
        if isinstance(step, Done):
            last = {**head, "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": step.finish_reason}]}
            return [last, {**head, "choices": [], "usage": shapes.usage(step.usage)}] if wants_usage else [last]
        return []

    return Stream(begun.events(render, measured.failed), media_type="text/event-stream", headers={**headers, "cache-control": "no-cache"})
