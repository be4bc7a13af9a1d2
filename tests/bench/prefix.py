#!/usr/bin/env python3
"""What shared beginnings cost, over HTTP, beside llama.cpp's own server: one JSON line per run, then medians and ratios.

    python tests/bench/prefix.py MODEL.gguf [--peer-python ENV/bin/python] [--repeat 5]

`first_token`: seconds to the first token of a question over a prefix of 1,500 tokens, cold and warm.
`burst`: seconds for 8 questions at once over one prefix that one request has read before (`first`), and over the same again (`warm`).
`gap`: of ours alone, the longest wait between two tokens of a running stream while a prompt of 4,000 tokens comes in, its usual one, and
the longest of a stream that nothing disturbs: what the machine itself adds.

Sides take turns. `cpu` counts the seconds of the side's processes. The wheel `xllamacpp` in ENV is the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.cli.bench.servers import Address, Share, ours, wheel_server
from app.cli.bench.sides import Side

PREFIX, LONG, STREAMS = 1500, 4000, 8
Figures = dict[str, float]


def facts(seed: int, tokens: int) -> str:
    """A text of about so many tokens, another for each seed from its first word on."""
    lines = (f"List {seed}, fact {n}: item {(n * 37 + seed) % 1009} is kept on shelf {n * 53 % 211}." for n in range(tokens))
    text = ""
    while len(text) < tokens * 1.86:
        text += next(lines) + "\n"
    return text


class Server(NamedTuple):
    """A side: where it listens, and what it wants in a request beside the usual."""

    address: Address
    model: str
    session: aiohttp.ClientSession

    async def tokens(self, prompt: str, count: int, told: dict[str, int] | None = None) -> AsyncIterator[float]:
        """The moment of each piece of text."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": count, "temperature": 0, "stream": True, "ignore_eos": True}
        body |= {"cache_prompt": True, "stream_options": {"include_usage": True}}
        headers = {"Authorization": f"Bearer {self.address.key}"}
        async with self.session.post(f"{self.address.url}/v1/completions", json=body, headers=headers) as answer:
            if answer.status != 200:
                raise SystemExit(f"{self.address.url}: {answer.status} {await answer.text()}")
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if told is not None and event.get("usage"):
                    told |= {"prompt_tokens": event["usage"]["prompt_tokens"]}
                if any(choice.get("text") for choice in event.get("choices", [])):
                    yield time.perf_counter()

    async def first(self, prompt: str, count: int = 4) -> float:
        """Seconds to the first token; the answer is read to its end."""
        began, first = time.perf_counter(), 0.0
        async for at in self.tokens(prompt, count):
            first = first or at - began
        return first


async def first_token(server: Server, seed: int) -> Figures:
    """Cold, then another question over the same beginning."""
    prefix, told = facts(seed, PREFIX), dict[str, int]()
    async for _ in server.tokens("Hello", 2):
        pass
    cold = await server.first(f"{prefix}Question: where is item 37? Answer:")
    warm = await server.first(f"{prefix}Question: where is item 74? Answer:")
    async for _ in server.tokens(f"{prefix}Question: which items are on shelf 5? Answer:", 2, told):
        pass
    return {"cold_s": cold, "warm_s": warm, "ratio": warm / cold, **told}


async def burst(server: Server, seed: int) -> Figures:
    """One request reads the prefix; then eight at once, and eight others."""
    prefix = facts(seed, PREFIX)
    await server.first(f"{prefix}Question: where is item 37? Answer:")
    found = {}
    for name in ("first", "warm"):
        began = time.perf_counter()
        await asyncio.gather(*(server.first(f"{prefix}Question {name} {n}: where is item {n * 37}? Answer:", 16) for n in range(STREAMS)))
        found[f"{name}_s"] = time.perf_counter() - began
    return found


async def gap(server: Server, seed: int) -> Figures:
    """A stream in whose course a long prompt comes in, until that is read; and before it one that nothing disturbs."""
    alone = [at async for at in server.tokens(f"Tale {seed}. Once upon a time", 1000)]
    moments: list[float] = []
    long: asyncio.Task[float] | None = None
    came = 0.0
    async for at in server.tokens(f"Story {seed}. Once upon a time", 3000):
        moments.append(at)
        if len(moments) == 60:
            came = at
            long = asyncio.create_task(server.first(f"{facts(seed, LONG)}Question: where is item 37? Answer:", 2))
        if long is not None and long.done():
            break
    assert long is not None
    covered = long.done()  # else the stream came to its end before
    await long
    waits = [(later - before, later > came) for before, later in itertools.pairwise(moments)]
    usual = statistics.median(wait for wait, beside in waits if not beside)
    beside = [wait for wait, beside in waits if beside]
    return {
        "usual_s": usual,
        "beside_s": statistics.median(beside),
        "longest_s": max(beside),
        "ratio": max(beside) / usual,
        "longest_alone_s": max(later - before for before, later in itertools.pairwise(alone)),
        "texts_beside": len(beside),
        "covered": covered,
    }


WAYS: dict[str, Callable[[Server, int], Awaitable[Figures]]] = {"first_token": first_token, "burst": burst, "gap": gap}


async def main(args: argparse.Namespace) -> None:
    """All sides in turn for each way, then every figure's median and our part of the peer's."""
    share = Share(args.threads, STREAMS, 16_384)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), trust_env=False)
        )
        sides: dict[str, Server] = {"ondol": Server(await stack.enter_async_context(ours(args.model, share)), "default", session)}
        if args.peer_python:
            peer = await stack.enter_async_context(wheel_server(args.peer_python, args.model, share))
            sides["llama-server"] = Server(peer, "default", session)
        for name in args.ways:
            # A slot of the peer has an eighth of the context: no room for the long prompt, and the bar is our own usual step.
            await _measure(name, {"ondol": sides["ondol"]} if name == "gap" else sides, args.repeat)


async def _measure(name: str, sides: dict[str, Server], repeat: int) -> None:
    found: dict[str, list[Figures]] = {side: [] for side in sides}
    for turn in range(repeat):
        for side, server in sides.items():
            clock = Side(_never, server.address.pid)
            before = clock.seconds_of_processor()
            # Each time another text: a server that runs already has read the ones before.
            result = await WAYS[name](server, int(time.time() * 10) % 100_000 + turn)
            result["cpu"] = clock.seconds_of_processor() - before
            found[side].append(result)
            print(json.dumps({"way": name, "side": side, **_short(result)}), flush=True)
    medians = {side: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for side, runs in found.items()}
    told: dict[str, Any] = {"way": name, "medians": {side: _short(figures) for side, figures in medians.items()}}
    if len(medians) == 2:
        mine, other = medians.values()
        told["ours / theirs"] = _short({key: mine[key] / other[key] for key in mine if other.get(key)})
    print(json.dumps(told), flush=True)


def _short(figures: Figures) -> Figures:
    return {key: round(value, 4) for key, value in figures.items()}


async def _never(streams: int, tokens: int, turn: int) -> Figures:
    raise NotImplementedError


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    asyncio.run(main(parser.parse_args()))
