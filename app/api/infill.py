"""POST /infill: what stands between two texts, in llama.cpp's shape, streamed or whole."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.response import Stream

from app.api import choices, requests, words
from app.api.chat import context_of
from app.api.choices import Numbered
from app.api.measure import Measured
from app.api.parts import Parts
from app.api.requests import InfillRequest
from app.api.streaming import Begun, unless_gone
from app.core.errors import BadRequest
from app.pipeline.steps import Done, Text


@post("/infill", status_code=200, tags=["Vocabulary"])
async def infill(request: Request[Any, Any, State], state: State, data: JSONBody[InfillRequest]) -> Response[Any]:
    """Fill in between a prefix and a suffix."""
    parts: Parts = state.parts
    if data.choices > 1:
        raise BadRequest("A gap is filled once.", hint="Leave n out.", param="n")
    context = context_of(request)
    generation = requests.infill_generation(data, await words.biases(parts.service, data))
    measured = Measured(parts.metrics, "infill", data.model)
    steps = measured.watch(choices.several([partial(parts.service.run, data.model, generation, context)]))
    headers = {"x-request-id": context.request_id}
    if not data.stream:
        (found,) = await unless_gone(request, choices.gather(steps, 1))
        return Response(_body(data.model, found.text, found.done), headers=headers)
    begun = Begun(steps)
    try:
        await unless_gone(request, begun.begin())
    except BaseException:
        await begun.close()
        raise

    def render(one: Numbered) -> list[dict[str, Any]]:
        if isinstance(one.step, Text):
            return [_body(data.model, one.step.text, None)]
        return [_body(data.model, "", one.step)] if isinstance(one.step, Done) else []

    return Stream(begun.events(render, measured.failed), media_type="text/event-stream", headers={**headers, "cache-control": "no-cache"})


def _body(model: str, text: str, done: Done | None) -> dict[str, Any]:
    body: dict[str, Any] = {"index": 0, "content": text, "stop": done is not None, "model": model}
    if done is None:
        return body
    kind = "limit" if done.finish_reason == "length" else "eos"
    counts = {"tokens_predicted": done.usage.completion_tokens, "tokens_evaluated": done.usage.prompt_tokens}
    return {**body, "stop_type": kind, **counts, "tokens_cached": done.usage.cached_tokens}
