"""The engine as the server sees it: one worker process for one GGUF. Imports nothing heavy; nothing here blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import WorkerDied
from app.core.records import Context, Generation, Message, Piece, Waiting
from app.core.workers.parent import State, Worker
from models.engine import memory
from models.engine.adapters import AdapterFile
from models.engine.watchdog import USUAL, Patience, Watchdog
from models.engine.words import Detokenize, Question, Render, Token, Tokenize

_MODULES = {"built-in": "models.engine.worker", "llama-server": "models.engine.llama_server.worker"}


class EngineSettings(msgspec.Struct, frozen=True):
    """How to run a model. 0 (context, threads) and -1 (gpu_layers) mean: chosen for this machine.

    `context` is in tokens and shared by up to `parallel` requests at once; one request gets at most what the model was trained for.
    `cache_memory` and `cache_disk` are bytes for chats that left the cache; the disk's lie in `cache_folder`.
    `speculate` is on, off, or auto. How a model runs best is remembered in `tuning_folder` (empty: nowhere), and is measured when
    nobody has asked for anything for `tune_after` seconds (0: never).
    `projector` is the mmproj GGUF by which the model sees pictures; empty: none.
    `engine` "llama-server" is llama.cpp's own server, the program `llama_server` (empty: of PATH).
    """

    context: int = 0
    parallel: int = 8
    threads: int = 0
    gpu_layers: int = -1
    max_queue: int = 32
    cache_memory: int = 512 << 20
    cache_disk: int = 0
    cache_folder: str = ""
    speculate: str = "auto"
    tuning_folder: str = ""
    tune_after: float = 20.0
    engine: str = "built-in"
    llama_server: str = ""
    adapters: tuple[AdapterFile, ...] = ()
    projector: str = ""


class EngineInfo(msgspec.Struct, frozen=True):
    """A loaded model. `context` is one request's limit, `cells` what all share (tokens); sizes in bytes. `vision`: it sees pictures."""

    name: str
    architecture: str
    quantisation: str
    parameters: int
    size_bytes: int
    context: int
    cells: int
    parallel: int
    threads: int
    gpu_layers: int
    chat_template: bool
    vision: bool = False


class EngineClient:
    """One model, in a process that `start` or a first request starts. When it dies, its requests get `WorkerDied`; the next restarts it."""

    def __init__(self, model: Path, settings: EngineSettings, *, name: str, logs: Path, patience: Patience = USUAL) -> None:
        self.model, self.settings = model, settings
        self.progress = 0.0
        self._moved = asyncio.Event()
        self._crowd = (0, 0)
        body = {"model": str(model), **msgspec.to_builtins(settings)}
        self._worker = Worker(name, _MODULES[settings.engine], body, logs=logs, on_event=self._on_event)
        self._watchdog = Watchdog(self._worker, patience)

    def _on_event(self, event: Any) -> None:
        if not isinstance(event, dict):
            return
        if "running" in event:
            self._crowd = event["running"], event["waiting"]
        if "load_progress" in event:
            self.progress = float(event["load_progress"])
            self._moved.set()

    async def moved(self, told: float) -> float:
        """The progress of the load (0..1), once it is another than `told`."""
        while self.progress == told:
            self._moved.clear()
            await self._moved.wait()
        return self.progress

    async def start(self) -> EngineInfo:
        """Load the model if it isn't; BadRequest (code "bad_model_file") where it can't be."""
        if self._worker.state in (State.STOPPED, State.FAILED):
            self.progress = 0.0
        try:
            return msgspec.convert(await self._worker.start(), EngineInfo)
        except WorkerDied as error:
            if "SIGKILL" not in str(error):
                raise
            raise memory.killed(self.model) from None

    async def generate(self, request: Generation, context: Context) -> AsyncGenerator[Piece | Waiting, None]:
        """The text, piece by piece, and before it the place in the queue where there is one.

        Closing the iterator cancels the request. Errors: `OndolError`s, `Busy` when the queue is full.
        """
        body = {"request": msgspec.to_builtins(request), "priority": context.priority.value, "chat_id": context.chat_id}
        self._watchdog.watch()
        async with contextlib.aclosing(self._worker.stream("generate", body, request_id=context.request_id)) as items:
            async for item in items:
                yield msgspec.convert(item, Waiting) if "kind" in item else msgspec.convert(item, Piece)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length of the prompt that these messages become, in the model's tokens."""
        return int(await self._worker.call("count", {"messages": msgspec.to_builtins(tuple(messages))}))

    async def count_text(self, prompt: str) -> int:
        """The length of a raw prompt in the model's tokens."""
        return int(await self._worker.call("count", {"prompt": prompt}))

    async def tokenize(self, text: str, *, special: bool = True, first: bool = False) -> list[Token]:
        """The text's tokens; see `models.engine.words`."""
        return msgspec.convert(await self._ask(Tokenize(text, special, first)), list[Token])

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The tokens' text. BadRequest for tokens that there are not."""
        return str(await self._ask(Detokenize(tuple(tokens))))

    async def rendered(self, request: Generation) -> str:
        """The prompt that the messages become."""
        return str(await self._ask(Render(request)))

    async def _ask(self, question: Question) -> Any:
        return await self._worker.call("words", msgspec.to_builtins(question))

    async def stats(self) -> dict[str, int]:
        """The fields of `models.engine.engine.Stats`."""
        return dict(await self._worker.call("stats"))

    async def stop(self) -> None:
        """End the process: the memory comes back. Requests under way fail."""
        self._watchdog.stop()
        await self._worker.stop()
        self.progress = 0.0

    @property
    def info(self) -> EngineInfo | None:
        """Of the loaded model; None until it was loaded once."""
        return None if self._worker.meta is None else msgspec.convert(self._worker.meta, EngineInfo)

    @property
    def state(self) -> State:
        """stopped, starting, ready, waiting or failed."""
        return self._worker.state

    @property
    def running(self) -> int:
        """Requests that hold a place in the batch, as the worker told last."""
        return self._crowd[0] if self.state is State.READY else 0

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return self._crowd[1] if self.state is State.READY else 0

    @property
    def reason(self) -> str:
        """Why it ended or failed; empty while all is well."""
        return self._worker.reason

    @property
    def busy(self) -> int:
        """Requests under way."""
        return self._worker.busy

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is under way."""
        return self._worker.idle_seconds

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._worker.pid
