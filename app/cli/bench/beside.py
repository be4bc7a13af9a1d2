"""`ondol serve` and the other servers that are here, over one model, measured in turn."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from app.cli.bench import servers
from app.cli.bench.measure import ALONE, Told, measure
from app.cli.bench.servers import Address, Share
from app.cli.bench.sides import Side, over_http

CELLS_A_STREAM = 1024
_PYTHON_SERVER = ("llama_cpp.server", "fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")
Starting = contextlib.AbstractAsyncContextManager[Address]


class Wanted(NamedTuple):
    """What to measure. `llama_server`: the program, empty for the one that is found; `pythons`: environments to look for peers in."""

    model: Path
    streams: tuple[int, ...]
    threads: int
    tokens: int
    repeat: int
    llama_server: str
    pythons: tuple[Path, ...]


async def compare(wanted: Wanted, note: Callable[[str], None], told: Told) -> list[dict[str, Any]]:
    """Start all, measure them in turn, end all. Returns what `told` was told."""
    parallel = max(wanted.streams)
    share = Share(wanted.threads, parallel, max(4096, CELLS_A_STREAM * parallel))
    async with contextlib.AsyncExitStack() as stack:
        # A connection for each request: some servers close those that rest while another is measured.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        sides = {}
        for name, starting in _present(wanted, share).items():
            note(f"Starting {name}.")
            sides[name] = await stack.enter_async_context(_side(session, name, starting))
        if len(sides) == 1:
            note(ALONE)
        return await measure(sides, wanted.streams, wanted.tokens, wanted.repeat, told)


@contextlib.asynccontextmanager
async def _side(session: aiohttp.ClientSession, name: str, starting: Starting) -> AsyncIterator[Side]:
    async with starting as address:
        extra = {} if name == "ondol" else {"cache_prompt": False}
        yield Side(over_http(session, address.url, "default", address.key, extra), address.pid)


def _present(wanted: Wanted, share: Share) -> dict[str, Starting]:
    found: dict[str, Starting] = {"ondol": servers.ours(wanted.model, share)}
    program = servers.program(wanted.llama_server)
    if program:
        found["llama-server"] = servers.llama_server(program, wanted.model, share)
    for python in wanted.pythons:
        if "xllamacpp" not in found and servers.has(python, "xllamacpp"):
            found["xllamacpp"] = servers.wheel_server(python, wanted.model, share)
        if "llama_cpp.server" not in found and servers.has(python, *_PYTHON_SERVER):
            found["llama_cpp.server"] = servers.python_server(python, wanted.model, share)
    return found
