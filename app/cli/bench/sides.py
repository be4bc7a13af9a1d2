"""What is measured, and how one run of it goes: the engine in this process, its worker, or any OpenAI-compatible server.

Every side gets the same greedy requests, each to its full length, so that tokens per second can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import psutil

from app.core.errors import UpstreamError
from app.core.records import Context, Generation, Priority, Sampling, Waiting

if TYPE_CHECKING:
    from models.engine.client import EngineClient
    from models.engine.worker import LoadedEngine

TOPICS = ["a lighthouse keeper", "a village in the snow", "a clock that runs backwards", "two ships in a storm"]
Run = Callable[[int, int, int], Awaitable[dict[str, float]]]


class Side(NamedTuple):
    """Something to measure: `run(streams, tokens, turn)`; `pid` is of the process that serves it, where it is known."""

    run: Run
    pid: int | None = None

    def seconds_of_processor(self) -> float:
        """Used so far by its process and those that it started; 0 where it runs elsewhere."""
        if self.pid is None:
            return 0.0
        top = psutil.Process(self.pid)
        total = 0.0
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def prompt(stream: int, turn: int) -> str:
    """Each stream's own in each turn, other from its first words on: no side has it in a cache."""
    return f"Turn {turn}, {stream}: write a long story about {TOPICS[stream % len(TOPICS)]}. Once upon a time"


def request(stream: int, tokens: int, turn: int) -> Generation:
    """Greedy, and to the full length."""
    return Generation(prompt=prompt(stream, turn), sampling=Sampling(temperature=0), max_tokens=tokens, ignore_eos=True)


def figures(tokens: int, began: float, firsts: list[float]) -> dict[str, float]:
    """What one run is worth."""
    seconds = time.perf_counter() - began
    return {"tokens": tokens, "tokens_per_s": round(tokens / seconds, 1), "ttft_p50_ms": round(statistics.median(firsts) * 1e3)}


def in_process(engine: LoadedEngine) -> Run:
    """The engine alone: no process, no pipe, no HTTP."""

    async def run(streams: int, tokens: int, turn: int) -> dict[str, float]:
        began, firsts, total = time.perf_counter(), dict[int, float](), 0
        for stream in range(streams):
            engine.submit(stream, request(stream, tokens, turn), Priority.CHAT)
        while not engine.engine.idle:
            for output in engine.engine.step():
                firsts.setdefault(output.id, time.perf_counter() - began)
                total += getattr(getattr(output.news, "usage", None), "completion_tokens", 0)
        return figures(total, began, list(firsts.values()))

    return run


def gathered(one: Callable[[int, int, int], Awaitable[tuple[int, float]]]) -> Run:
    """Many streams at once, each giving its tokens and its time to the first."""

    async def run(streams: int, tokens: int, turn: int) -> dict[str, float]:
        began = time.perf_counter()
        results = await asyncio.gather(*(one(stream, tokens, turn) for stream in range(streams)))
        return figures(sum(tokens for tokens, _ in results), began, [first for _, first in results])

    return run


def through_worker(client: EngineClient) -> Run:
    """The engine as the server uses it."""

    async def one(stream: int, tokens: int, turn: int) -> tuple[int, float]:
        began, first, total = time.perf_counter(), 0.0, 0
        async for piece in client.generate(request(stream, tokens, turn), Context()):
            if isinstance(piece, Waiting):
                continue
            first = first or time.perf_counter() - began
            total = piece.usage.completion_tokens if piece.usage else 0
        return total, first

    return gathered(one)


def over_http(session: aiohttp.ClientSession, url: str, model: str, key: str, extra: dict[str, Any]) -> Run:
    """Any OpenAI-compatible server. UpstreamError where it refuses a request or breaks off."""

    async def one(stream: int, tokens: int, turn: int) -> tuple[int, float]:
        body = {"model": model, "prompt": prompt(stream, turn), "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True}
        body |= {"stream_options": {"include_usage": True}, **extra}
        began, first, total, pieces = time.perf_counter(), 0.0, 0, 0
        async with session.post(f"{url}/v1/completions", json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            if answer.status != 200:
                raise UpstreamError(f"{url} answered {answer.status}: {(await answer.text())[:300]}")
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if event.get("error"):
                    raise UpstreamError(f"{url} broke off: {event['error']}")
                if any(choice.get("text") for choice in event.get("choices", [])):
                    first = first or time.perf_counter() - began
                    pieces += 1
                total = (event.get("usage") or {}).get("completion_tokens") or total
        # Who tells no usage sends a token at a time.
        return total or pieces, first

    return gathered(one)
