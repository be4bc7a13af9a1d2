"""POST /v1/completions: a raw model goes on from a text."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.response import Stream

from app.api import choices, requests, shapes, words
from app.api.chat import context_of
from app.api.choices import Numbered, Whole
from app.api.measure import Measured
from app.api.parts import Parts
from app.api.requests import CompletionRequest
from app.api.streaming import Begun, unless_gone
from app.core.records import Chance, Usage
from app.pipeline.steps import Done, Text


@post("/v1/completions", status_code=200, tags=["OpenAI"])
async def completions(request: Request[Any, Any, State], state: State, data: JSONBody[CompletionRequest]) -> Response[Any]:
    """Complete a prompt, or each of several; with a suffix, what stands between them."""
    parts: Parts = state.parts
    context = context_of(request)
    prompts = await words.prompts(parts.service, data)
    generations = requests.completion_generations(data, prompts, await words.biases(parts.service, data))
    # A prompt whose tokens have chances comes with them, out of the model.
    echoes = [generation.prompt or "" if data.echo and not generation.echo else "" for generation in generations]
    measured = Measured(parts.metrics, "completions", data.model)
    runs = [partial(parts.service.run, data.model, generation, context) for generation in generations]
    steps = measured.watch(choices.several(runs, each=data.choices))
    render = _Bodies(data, echoes)
    headers = {"x-request-id": context.request_id}
    if not data.stream:
        found = await unless_gone(request, choices.gather(steps, len(runs)))
        return Response(render.whole(found), headers=headers)
    begun = Begun(steps)
    try:
        await unless_gone(request, begun.begin())
    except BaseException:
        await begun.close()
        raise
    return Stream(begun.events(render, measured.failed), media_type="text/event-stream", headers={**headers, "cache-control": "no-cache"})


class _Bodies:
    """Steps as completions. `echoes` are the prompts that come before the texts, by choice."""

    def __init__(self, request: CompletionRequest, echoes: list[str]) -> None:
        self._head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()), "model": request.model}
        self._usage = request.stream_options is not None and request.stream_options.include_usage
        self._echoes = echoes
        self._said: dict[int, int] = {}
        self._used: list[Usage] = []

    def whole(self, found: list[Whole]) -> dict[str, Any]:
        """All texts in one body."""
        both = enumerate(zip(self._echoes, found, strict=True))
        texts = [self._choice(at, echo + one.text, one.chances, one.done.finish_reason) for at, (echo, one) in both]
        return {**self._head, "choices": texts, "usage": shapes.usage(choices.total([one.done.usage for one in found]))}

    def __call__(self, one: Numbered) -> list[dict[str, Any]]:
        """The chunks of one step."""
        step = one.step
        if not isinstance(step, Text | Done):
            return []
        chunks = []
        if one.choice not in self._said:
            self._said[one.choice] = 0
            if self._echoes[one.choice]:
                chunks.append(self._chunk(one.choice, self._echoes[one.choice]))
        if isinstance(step, Text):
            return [*chunks, self._chunk(one.choice, step.text, step.chances)]
        chunks.append(self._chunk(one.choice, "", reason=step.finish_reason))
        self._used.append(step.usage)
        if self._usage and len(self._used) == len(self._echoes):
            chunks.append({**self._head, "choices": [], "usage": shapes.usage(choices.total(self._used))})
        return chunks

    def _chunk(self, choice: int, text: str, chances: tuple[Chance, ...] = (), reason: str | None = None) -> dict[str, Any]:
        return {**self._head, "choices": [self._choice(choice, text, chances, reason)]}

    def _choice(self, choice: int, text: str, chances: tuple[Chance, ...] | list[Chance], reason: str | None) -> dict[str, Any]:
        offset = self._said.get(choice, 0)
        self._said[choice] = offset + len(text)
        return {"index": choice, "text": text, "logprobs": shapes.completion_chances(chances, offset), "finish_reason": reason}
