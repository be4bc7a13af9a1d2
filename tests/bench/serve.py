#!/usr/bin/env python3
"""Tokens per second of the engine at several streams, beside llama.cpp's own server: one JSON line per run, then ratios.

    python tests/bench/serve.py MODEL.gguf                                  the engine in this process, and in its worker
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
import sys
import tempfile
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.cli.bench.measure import measure
from app.cli.bench.servers import Share, wheel_server
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
            if args.peer_python:
                peer = await stack.enter_async_context(wheel_server(args.peer_python, args.model, share))
                sides["llama-server"] = Side(over_http(session, peer.url, "default", "", {"cache_prompt": False}), peer.pid)
        if args.ours:
            sides["ours"] = Side(over_http(session, args.ours.rstrip("/"), args.model_id, args.key, {}))
        if args.peer:
            sides["peer"] = Side(over_http(session, args.peer.rstrip("/"), args.model_id, args.key, {"cache_prompt": False}))
        if not sides:
            sys.exit("Name a GGUF file, or servers with --ours and --peer.")
        await measure(sides, args.streams, args.tokens, args.repeat, lambda line: print(json.dumps(line), flush=True))


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
