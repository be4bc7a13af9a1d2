"""A real server over small real parts: a backend and a source that are plain classes, on a free port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from app.api.asgi import application
from app.api.metrics import Metrics
from app.api.parts import Access, Embedded, Parts
from app.backends.contract import ModelInfo
from app.backends.llama import LlamaBackend
from app.core.errors import ContextLengthExceeded, StoreNotFound, WorkerDied
from app.core.paths import Home
from app.core.records import (
    AnswerRecord,
    Context,
    Generation,
    Message,
    Passage,
    Piece,
    SearchQuery,
    SearchResult,
    StoreInfo,
    Usage,
    Waiting,
)
from app.local.keeping import LocalKeeping
from app.local.models import LocalModels
from app.local.vectors import LocalVectors
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.gather import Wired
from app.pipeline.service import Service
from ingest.keeping.keeper import Keeper
from models.downloads import Downloads
from models.embed_client import EmbedClient
from models.engine.client import EngineSettings
from models.engine.vectors import VectorSettings
from models.library import Library

KEY = "sk-ondol-test"
PASSAGES = (
    Passage(
        "leave#0",
        "leave",
        "Annual leave is 15 days. Ask your manager two weeks ahead.",
        "Leave",
        store="hr",
        relevance=0.9,
        score=0.9,
        page=3,
    ),
    Passage("pay#0", "pay", "Payday is the 25th of each month.", "Pay", store="hr", relevance=0.5, score=0.5),
)


class Scripted:
    """A backend that says what its model's name tells it to, word by word; `stopped` counts texts that were given up."""

    def __init__(self) -> None:
        self.stopped = 0
        self.silent = False
        self.seen: list[tuple[Generation, Context]] = []
        self.texts = {
            "parrot": "",
            "writer": "Annual leave is 15 days [1]. The moon pays 900 coins. Bye!",
            "titler": '{"title": "Leave"}',
            "thinker": "Annual leave is 15 days.",
            "cold": "Annual leave is 15 days.",
        }
        # What comes before the text, by model.
        self.before: dict[str, tuple[Piece | Waiting, ...]] = {
            "thinker": (Piece(reasoning="The passages "), Piece(reasoning="say it.")),
            "cold": (
                *(Waiting("loading", "Cold One", 2_100_000_000, progress) for progress in (0.0, 0.04, 0.5, 1.0)),
                *(Waiting("queued", place=place) for place in (2, 2, 1)),
            ),
        }

    async def models(self) -> Sequence[ModelInfo]:
        return [
            ModelInfo(name, parameters=4_000_000_000)
            for name in ("parrot", "writer", "endless", "dies", "full", "titler", "thinker", "cold", "silent")
        ]

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        return 1

    async def close(self) -> None:
        pass

    async def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece | Waiting, None]:
        self.seen.append((request, context))
        for news in self.before.get(model, ()):
            yield news
        if model == "full":
            raise ContextLengthExceeded(prompt_tokens=9000, context=8192)
        text = self.texts.get(model) or (request.prompt if request.prompt is not None else str(request.messages[-1].content))
        try:
            for word in text.split(" ") if model != "silent" else ():
                yield Piece(word + " ")
                await asyncio.sleep(0)
            if model == "dies":
                raise WorkerDied()
            while model == "silent":
                self.silent = True
                await asyncio.sleep(0.01)
            while model == "endless":
                yield Piece("on ")
                await asyncio.sleep(0.01)
        except (GeneratorExit, asyncio.CancelledError):
            self.stopped += 1
            raise
        yield Piece(finish_reason="stop", usage=Usage(7, len(text.split(" ")), 2))


class Fixed:
    """A source that always finds the two passages above; for a question about the moon, without relevance."""

    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        return SearchResult(PASSAGES, relevance=0.0 if "moon" in query.text else 0.9)

    async def close(self) -> None:
        pass


class OneStore:
    """A store of the two passages."""

    name = "hr"

    async def stores(self) -> Sequence[StoreInfo]:
        return [StoreInfo(self.name, 2, 2, 1_700_000_000.0, 100)]

    async def search(self, store: str, queries: Sequence[SearchQuery], context: Context) -> Sequence[SearchResult]:
        if store != self.name:
            raise StoreNotFound(f"There is no store '{store}'.")
        return [SearchResult(PASSAGES[: query.limit], 0.9) for query in queries]


class Lengths:
    """Vectors of two dimensions: exact in float32."""

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> Embedded:
        from array import array

        return Embedded("lengths", "lengths:1", b"".join(array("f", [len(text), 0.5]).tobytes() for text in texts), 2, len(texts))


class Kept:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.answers: list[AnswerRecord] = []

    def record(self, answer: AnswerRecord) -> None:
        self.answers.append(answer)


class Running:
    """The server's address and its parts."""

    def __init__(self, folder: Path, *, task_model: str = "") -> None:
        self.backend, self.ledger = Scripted(), Kept()
        self.library_folder = folder / "models"
        self.library, self.stores = Library(self.library_folder), OneStore()
        sources = {"hr": Wired(Fixed())}
        made = {
            "handbook": Assistant(
                "handbook",
                "Handbook",
                self.backend,
                "writer",
                sources,
                "quote",
                threshold=0.3,
                suggestions=("When is payday?",),
                follow_ups=("When is payday?",),
            ),
            "scribe": Assistant("scribe", "Scribe", self.backend, "writer", sources, "written", threshold=0.3),
            "ponderer": Assistant("ponderer", "Ponderer", self.backend, "thinker", sources, "written", threshold=0.3),
            "sleeper": Assistant("sleeper", "Sleeper", self.backend, "cold", sources, "written", threshold=0.3),
        }

        async def assistants() -> Mapping[str, Assistant]:
            return made

        async def health() -> dict[str, Any]:
            return {"index": {"state": "ready", "pending": {"hr": 3}}}

        service = Service({"scripted": self.backend}, self.backend, assistants, Answerer(None, self.ledger), task_model=task_model)
        access = Access(KEY, frozenset({"my-host"}), frozenset({"http://page.example"}))
        engines = LlamaBackend(self.library, EngineSettings(), logs=folder, idle_seconds=0)
        embed = EmbedClient(lambda: self.library.find("", "embedding"), logs=folder)
        vectors = LocalVectors(self.library, VectorSettings(), logs=folder, idle_seconds=60)
        self.managed = LocalModels(self.library, engines, embed, Downloads(self.library), self.stores.stores, vectors)
        home = Home(folder)
        keeping = LocalKeeping(home, Keeper(home))
        self.parts = Parts(service, self.stores, Lengths(), self.managed, keeping, access, Metrics(), health, "token-1", "0.0", time.time())
        self.url = ""


@contextlib.contextmanager
def serving(*, task_model: str = "") -> Iterator[Running]:
    """The server in a thread of this process, until the block ends."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listening:
        running = Running(Path(folder), task_model=task_model)
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        # Whoever still listens to events at the end is not waited for.
        wired: Any = application(running.parts, stops=[running.managed.close])
        server = uvicorn.Server(uvicorn.Config(wired, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield running
        finally:
            server.should_exit = True
            thread.join(10)
