#!/usr/bin/env python3
"""Tokens per second of the engine at several streams, beside llama.cpp's own server: one JSON line per run, then ratios.

    python tests/bench/serve.py MODEL.gguf                                  the engine in this process, in its worker, and behind the server
    python tests/bench/serve.py MODEL.gguf --peer-python ENV/bin/python     and llama-server, of the wheel `xllamacpp` in ENV
    python tests/bench/serve.py --ours URL --key KEY --peer URL             two servers that are running (--model-id NAME)

`ondol bench serve` measures the same over HTTP. Sides take turns (A B A B), each at the same number of threads, with the same greedy
requests. Quote the ratios, not the tokens per second, and only from a machine that does nothing else meanwhile. On one that does, run
with `--threads 1` and look at the tokens per second of processor time (the side's own processes; absent for servers that run elsewhere).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.cli.bench.measure import measure
from app.cli.bench.servers import Share, ours, wheel_server
from app.cli.bench.sides import Side, in_process, over_http, through_worker
from models.engine.client import EngineClient, EngineSettings
from models.engine.worker import LoadedEngine

CELLS = 16_384


async def main(args: argparse.Namespace) -> None:
    """Put the sides together that were asked for."""
    sides: dict[str, Side] = {}
    async with contextlib.AsyncExitStack() as stack:
        # Connections of one side must not wait for those of another.
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False))
        if args.model:
            share = Share(args.threads, max(args.streams), CELLS)
            settings = EngineSettings(context=CELLS, parallel=share.parallel, threads=args.threads)
            sides["in process"] = Side(in_process(LoadedEngine(args.model, settings)), os.getpid())
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            client = EngineClient(args.model, settings, name="engine-bench", logs=logs)
            stack.push_async_callback(client.stop)
            await client.start()
            sides["worker"] = Side(through_worker(client), client.pid)
            served = await stack.enter_async_context(ours(args.model, share))
            sides["server"] = Side(over_http(session, served.url, "default", served.key, {}), served.pid)
            if args.peer_python:
                peer = await stack.enter_async_context(wheel_server(args.peer_python, args.model, share))
                sides["llama-server"] = Side(over_http(session, peer.url, "default", "", {"cache_prompt": False}), peer.pid)
        if args.ours:
            sides["ours"] = Side(over_http(session, args.ours.rstrip("/"), args.model_id, args.key, {}))
        if args.peer:
            sides["peer"] = Side(over_http(session, args.peer.rstrip("/"), args.model_id, args.key, {"cache_prompt": False}))
        if not sides:
            sys.exit("Name a GGUF file, or servers with --ours and --peer.")
        said = await measure(sides, args.streams, args.tokens, args.repeat, _told)
        for streams in args.streams:
            firsts = {
                side: [line["ttft_p50_ms"] for line in said if (line["streams"], line.get("side")) == (streams, side)] for side in sides
            }
            _told({"streams": streams, "figure": "ttft_p50_ms", **_later(firsts)})


def _later(firsts: dict[str, list[float]]) -> dict[str, Any]:
    """The median of each side's first tokens, and by how many milliseconds each of the others comes after the first side's."""
    first, *others = firsts
    after = {f"{other} - {first}": statistics.median(b - a for a, b in zip(firsts[first], firsts[other], strict=True)) for other in others}
    return {"medians": {side: statistics.median(times) for side, times in firsts.items()}, "milliseconds": after}


def _told(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


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
