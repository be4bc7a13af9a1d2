#!/usr/bin/env python3
"""Tokens per second of the engine at several streams, beside llama.cpp's own server: one JSON line per run, then ratios.

    python tests/bench/serve.py MODEL.gguf                                  the engine in this process, and in its worker
    python tests/bench/serve.py MODEL.gguf --peer-python ENV/bin/python     and llama-server, of the wheel `xllamacpp` in ENV
    python tests/bench/serve.py --ours URL --key KEY --peer URL             two servers that are running (--model-id NAME)

Sides take turns (A B A B), each at the same number of threads, with the same greedy requests. Quote the ratios, not the tokens
per second, and only from a machine that does nothing else meanwhile. On one that does, run with `--threads 1` and look at the tokens
per second of processor time (the side's own processes; absent for servers that run elsewhere).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.records import Context, Generation, Priority, Sampling, Waiting
from models.engine.client import EngineClient, EngineSettings
from models.engine.worker import LoadedEngine

TOPICS = ["a lighthouse keeper", "a village in the snow", "a clock that runs backwards", "two ships in a storm"]
CELLS = 16_384
LLAMA_SERVER = """
import sys, time, xllamacpp
model, port, threads, parallel, cells = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_parallel, params.n_ctx = model, port, parallel, cells
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_batch, params.n_ubatch = 2048, 512
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
"""

Run = Callable[[int, int], Awaitable[dict[str, float]]]


class Side(NamedTuple):
    """Something to measure; `pid` is of the process that computes, where it is known."""

    run: Run
    pid: int | None = None

    def seconds_of_processor(self) -> float:
        """Used by its process so far."""
        if self.pid is None:
            return 0.0
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def prompt(stream: int) -> str:
    """Each stream's own."""
    return f"Write a long story about {TOPICS[stream % len(TOPICS)]} ({stream}). Once upon a time"


def request(stream: int, tokens: int) -> Generation:
    """Greedy, and to the full length."""
    return Generation(prompt=prompt(stream), sampling=Sampling(temperature=0), max_tokens=tokens, ignore_eos=True)


def figures(tokens: int, began: float, firsts: list[float]) -> dict[str, float]:
    """What one run is worth."""
    seconds = time.perf_counter() - began
    return {"tokens": tokens, "tokens_per_s": round(tokens / seconds, 1), "ttft_p50_ms": round(statistics.median(firsts) * 1e3)}


def in_process(engine: LoadedEngine) -> Run:
    """The engine alone: no process, no pipe, no HTTP."""

    async def run(streams: int, tokens: int) -> dict[str, float]:
        began, firsts, total = time.perf_counter(), dict[int, float](), 0
        for stream in range(streams):
            engine.submit(stream, request(stream, tokens), Priority.CHAT)
        while not engine.engine.idle:
            for output in engine.engine.step():
                firsts.setdefault(output.id, time.perf_counter() - began)
                total += getattr(getattr(output.news, "usage", None), "completion_tokens", 0)
        return figures(total, began, list(firsts.values()))

    return run


def gathered(one: Callable[[int, int], Awaitable[tuple[int, float]]]) -> Run:
    """Many streams at once, each giving its tokens and its time to the first."""

    async def run(streams: int, tokens: int) -> dict[str, float]:
        began = time.perf_counter()
        results = await asyncio.gather(*(one(stream, tokens) for stream in range(streams)))
        return figures(sum(tokens for tokens, _ in results), began, [first for _, first in results])

    return run


def through_worker(client: EngineClient) -> Run:
    """The engine as the server uses it."""

    async def one(stream: int, tokens: int) -> tuple[int, float]:
        began, first, total = time.perf_counter(), 0.0, 0
        async for piece in client.generate(request(stream, tokens), Context()):
            if isinstance(piece, Waiting):
                continue
            first = first or time.perf_counter() - began
            total = piece.usage.completion_tokens if piece.usage else 0
        return total, first

    return gathered(one)


def over_http(session: aiohttp.ClientSession, url: str, model: str, key: str, extra: dict[str, Any]) -> Run:
    """Any OpenAI-compatible server."""

    async def one(stream: int, tokens: int) -> tuple[int, float]:
        body = {"model": model, "prompt": prompt(stream), "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True}
        body |= {"stream_options": {"include_usage": True}, **extra}
        began, first, total = time.perf_counter(), 0.0, 0
        async with session.post(f"{url}/v1/completions", json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            if answer.status != 200:
                raise SystemExit(f"{url}: {answer.status} {await answer.text()}")
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if event.get("error"):
                    raise SystemExit(f"{url}: {event['error']}")
                if any(choice.get("text") for choice in event.get("choices", [])):
                    first = first or time.perf_counter() - began
                total = (event.get("usage") or {}).get("completion_tokens") or total
        return total, first

    return gathered(one)


@contextlib.asynccontextmanager
async def llama_server(python: Path, model: Path, threads: int, parallel: int) -> AsyncIterator[tuple[str, int]]:
    """llama.cpp's own server on a free port, until the block ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    numbers = map(str, (port, threads, parallel, CELLS))
    process = subprocess.Popen(
        [str(python), "-c", LLAMA_SERVER, str(model), *numbers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            while True:
                if process.poll() is not None:
                    raise SystemExit("llama-server ended: is xllamacpp installed in that environment?")
                with contextlib.suppress(aiohttp.ClientError):
                    if (await session.get(f"{url}/health")).status == 200:
                        break
                await asyncio.sleep(0.2)
        yield url, process.pid
    finally:
        process.kill()
        process.wait()


async def measure(sides: dict[str, Side], streams: list[int], tokens: int, repeat: int) -> None:
    """All sides in turn, again and again; then every side's median over that of the last one."""
    for count in streams:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for turn in range(-1, repeat):
            for name, side in sides.items():
                before = side.seconds_of_processor()
                result = await side.run(count, tokens if turn >= 0 else 8)  # the first turn warms up
                used = side.seconds_of_processor() - before
                result |= {"tokens_per_cpu_s": round(result["tokens"] / used, 1)} if used else {}
                if turn >= 0:
                    found[name].append(result)
                    print(json.dumps({"side": name, "streams": count, **result}), flush=True)
        for figure in ("tokens_per_s", "tokens_per_cpu_s"):
            medians = {name: statistics.median(run.get(figure, 0) for run in runs) for name, runs in found.items()}
            last = list(medians)[-1]
            ratios = {
                f"{name} / {last}": round(value / medians[last], 2) for name, value in medians.items() if name != last and medians[last]
            }
            print(json.dumps({"streams": count, "figure": figure, "ratios": ratios}), flush=True)


async def main(args: argparse.Namespace) -> None:
    """Put the sides together that were asked for."""
    sides: dict[str, Side] = {}
    async with contextlib.AsyncExitStack() as stack:
        # Connections of one side must not wait for those of another.
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False))
        if args.model:
            settings = EngineSettings(context=CELLS, parallel=max(args.streams), threads=args.threads)
            sides["in process"] = Side(in_process(LoadedEngine(args.model, settings)), os.getpid())
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            client = EngineClient(args.model, settings, name="engine-bench", logs=logs)
            stack.push_async_callback(client.stop)
            await client.start()
            sides["worker"] = Side(through_worker(client), client.pid)
            if args.peer_python:
                url, pid = await stack.enter_async_context(llama_server(args.peer_python, args.model, args.threads, max(args.streams)))
                sides["llama-server"] = Side(over_http(session, url, "default", "", {"cache_prompt": False}), pid)
        if args.ours:
            sides["ours"] = Side(over_http(session, args.ours.rstrip("/"), args.model_id, args.key, {}))
        if args.peer:
            sides["peer"] = Side(over_http(session, args.peer.rstrip("/"), args.model_id, args.key, {"cache_prompt": False}))
        if not sides:
            sys.exit("Name a GGUF file, or servers with --ours and --peer.")
        await measure(sides, args.streams, args.tokens, args.repeat)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--ours")
    parser.add_argument("--peer")
    parser.add_argument("--model-id", default="default")
    parser.add_argument("--key", default="sk-local")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--repeat", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
