"""What the drain of many vectors into Chroma costs everybody else.

    python tests/bench/drain.py [--vectors 50000] [--seconds 60] [--home FOLDER]

A small server process holds the index client as Ondol's own server does and answers pings over loopback. While its index
worker drains the vectors, this process measures each ping's round trip (every 10 ms) and asks for a vector query every
half second. The same pings before the worker starts are the machine's own noise. Times in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.paths import Home
from ingest.book.writer import Batch, Ready, open_writer
from ingest.chunking import Chunk
from ingest.documents import Block, Document
from ingest.index.client import IndexClient

DIMENSIONS, BATCH = 384, 1000


def fill(home: Home, count: int) -> None:
    """Chunks with random unit vectors: clustered a little, as real ones are."""
    dice = np.random.default_rng(1)
    centres = dice.normal(size=(200, DIMENSIONS))
    with open_writer(home, "bench") as writer:
        writer.use_generation("random", "random-1", DIMENSIONS)
        source = writer.source("files", "bench", {}).id
        for start in range(0, count, BATCH):
            rows = centres[dice.integers(0, 200, BATCH)] + dice.normal(size=(BATCH, DIMENSIONS))
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            names = [f"d{n}" for n in range(start, start + BATCH)]
            ready = [Ready(Document(name, "", (Block(name),)), name, ((Chunk(name, "", None, None), name),)) for name in names]
            writer.commit(Batch(source, ready, {name: row.astype("<f4").tobytes() for name, row in zip(names, rows, strict=True)}))


async def serve(home: Home) -> None:
    """Answer each line with a line; "start", "query" and "state" go to the index worker."""
    index = IndexClient(home)
    vector = (np.ones(DIMENSIONS) / np.sqrt(DIMENSIONS)).astype("<f4").tobytes()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            reply: Any = None
            match line.strip():
                case b"start":
                    await index.start()
                case b"query":
                    reply = len(await index.query("bench", vector, 50))
                case b"state":
                    reply = await index.state()
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await index.stop()


class Line:
    """One connection to that server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def ask(self, word: str) -> tuple[Any, float]:
        began = time.perf_counter()
        self._writer.write(f"{word}\n".encode())
        reply = json.loads(await self._reader.readline())
        return reply, 1e3 * (time.perf_counter() - began)


async def times(port: int, word: str, pause: float, until: asyncio.Event) -> list[float]:
    line, found = await Line.open(port), list[float]()
    while not until.is_set():
        found.append((await line.ask(word))[1])
        await asyncio.sleep(pause)
    return found


def spread(found: Sequence[float]) -> dict[str, float]:
    names = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {"count": len(found), **{name: round(float(np.percentile(found, share)), 1) for name, share in names.items()}}


async def measure(port: int, seconds: float) -> dict[str, Any]:
    control = await Line.open(port)
    quiet = asyncio.Event()
    before = asyncio.create_task(times(port, "ping", 0.01, quiet))
    await asyncio.sleep(5)
    quiet.set()
    result: dict[str, Any] = {"ping before": spread(await before)}
    await control.ask("start")
    over, began = asyncio.Event(), time.perf_counter()
    jobs = [asyncio.create_task(times(port, word, pause, over)) for word, pause in (("ping", 0.01), ("query", 0.5))]
    while time.perf_counter() - began < seconds:
        await asyncio.sleep(2)
        (state, *_), _ = await control.ask("state")
        if not state["rebuilding"] and not state["pending"]:
            break
    over.set()
    pings, queries = [await job for job in jobs]
    took = time.perf_counter() - began
    after = [(await control.ask("query"))[1] for _ in range(50)]
    drained = {"entries": state["entries"], "pending": state["pending"], "seconds": round(took, 1)}
    return result | {
        "ping while draining": spread(pings),
        "query while draining": spread(queries),
        "query afterwards": spread(after),
        "drain": drained,
    }


async def run(home: Home, seconds: float) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", str(home.root)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    result = await measure(int(await child.stdout.readline()), seconds)
    child.stdin.close()
    await child.wait()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="What the drain of many vectors costs everybody else.")
    parser.add_argument("--vectors", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Home(options.serve)))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Home(options.home or Path(folder))
        home.root.mkdir(parents=True, exist_ok=True)
        if not home.book.exists():
            fill(home, options.vectors)
        result = asyncio.run(run(home, options.seconds))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
