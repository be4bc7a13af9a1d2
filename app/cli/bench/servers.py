"""Servers over one GGUF, each a process of its own on a free port of loopback, until the block ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from app.core import ports
from app.core.errors import BadSetting, NotReady
from models.engine.llama_server import guard

START_SECONDS = 180
# All end when the pipe to us does, also when this process is killed.
_LLAMA_SERVER = """
import sys, xllamacpp
model, port, threads, parallel, cells = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_parallel, params.n_ctx = model, port, parallel, cells
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_batch, params.n_ubatch = 2048, 512
server = xllamacpp.Server(params)
sys.stdin.read()
"""
_LLAMA_CPP_SERVER = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
sys.argv = ["llama_cpp.server", *sys.argv[1:]]
from llama_cpp.server.__main__ import main
main()
"""


class Share(NamedTuple):
    """What each server gets of the machine: threads, requests at once, and tokens of context that they share."""

    threads: int
    parallel: int
    cells: int


class Address(NamedTuple):
    """Where a server listens, and its process."""

    url: str
    key: str
    pid: int


@contextlib.asynccontextmanager
async def ours(model: Path, share: Share, more: Mapping[str, Any] | None = None) -> AsyncIterator[Address]:
    """`ondol serve` over a home of its own that has this model alone; `more` of the settings under `models`."""
    with tempfile.TemporaryDirectory(prefix="ondol-bench-") as folder:
        home = Path(folder)
        await asyncio.to_thread(_furnish, home, model, share, more or {})
        line = [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0", "--json", "--until-stdin-closes"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ONDOL_")}
        environment |= {"ONDOL_HOME": str(home), "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
        async with _process(line, environment, grace=10, quiet=False) as process:
            assert process.stdout is not None, "started with a pipe"
            try:
                told = json.loads(await asyncio.wait_for(process.stdout.readline(), START_SECONDS))
            except (TimeoutError, json.JSONDecodeError):
                raise NotReady("`ondol serve` did not start.") from None
            if "url" not in told:
                raise NotReady(f"`ondol serve` did not start: {told.get('error', {}).get('message', told)}")
            key = (home / "key").read_text(encoding="utf-8").strip()
            yield Address(told["url"], key, process.pid)


def _furnish(home: Path, model: Path, share: Share, more: Mapping[str, Any]) -> None:
    from models.library import Library

    Library(home / "models").pull(f"file:{model}")
    # The others would be measured beside a model that measures itself.
    values = {"context": share.cells, "parallel": share.parallel, "threads": share.threads, "idle_minutes": 0, "tune": "off", **more}
    (home / "config.yaml").write_text(json.dumps({"models": values}), encoding="utf-8")


@contextlib.asynccontextmanager
async def llama_server(program: str, model: Path, share: Share) -> AsyncIterator[Address]:
    """llama.cpp's own server, the program."""
    port, key = ports.any_free(), secrets.token_hex(16)
    numbers = {"--port": port, "-c": share.cells, "-np": share.parallel, "-t": share.threads, "-tb": share.threads, "-b": 2048, "-ub": 512}
    line = [
        sys.executable,
        "-I",
        str(guard.__file__),
        program,
        "-m",
        str(model),
        "--host",
        "127.0.0.1",
        "--kv-unified",
        *(str(word) for pair in numbers.items() for word in pair),
    ]
    async with _process(line, {**os.environ, "LLAMA_API_KEY": key}) as process:
        yield await _answering(process, port, key, "/health")


@contextlib.asynccontextmanager
async def wheel_server(python: Path, model: Path, share: Share) -> AsyncIterator[Address]:
    """llama.cpp's own server as the wheel `xllamacpp` of that environment has it."""
    port = ports.any_free()
    numbers = map(str, (port, share.threads, share.parallel, share.cells))
    async with _process([str(python), "-c", _LLAMA_SERVER, str(model), *numbers], os.environ) as process:
        yield await _answering(process, port, "", "/health")


@contextlib.asynccontextmanager
async def python_server(python: Path, model: Path, share: Share) -> AsyncIterator[Address]:
    """`python -m llama_cpp.server` of that environment: one request at a time."""
    port = ports.any_free()
    options = {"--model": model, "--host": "127.0.0.1", "--port": port, "--n_ctx": share.cells, "--n_threads": share.threads}
    options |= {"--n_threads_batch": share.threads, "--interrupt_requests": False, "--verbose": False}
    words = [str(word) for pair in options.items() for word in pair]
    async with _process([str(python), "-c", _LLAMA_CPP_SERVER, *words], os.environ) as process:
        yield await _answering(process, port, "", "/v1/models")


def program(named: str) -> str:
    """llama-server as it was named, else as PATH has it; empty where there is none. BadSetting where the named one is missing."""
    found = shutil.which(named or "llama-server")
    if named and not found:
        raise BadSetting(f"There is no program {named}.", hint="Give the path of llama-server.")
    return found or ""


def has(python: Path, *modules: str) -> bool:
    """Whether that environment can import them all, without importing them."""
    asked = f"import sys, importlib.util as u; sys.exit(not all(u.find_spec(name) for name in {modules!r}))"
    try:
        return subprocess.run([str(python), "-c", asked], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextlib.asynccontextmanager
async def _process(
    line: Sequence[str], environment: Mapping[str, str], *, grace: float = 1.0, quiet: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Its standard input closes at the end of the block; after `grace` seconds more it is killed. `quiet`: nobody reads what it prints."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *line, stdin=pipe, stdout=nothing if quiet else pipe, stderr=nothing, env=environment
        )
    except OSError as error:
        raise BadSetting(f"{line[0]} can't be started: {error.strerror}.") from None
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), grace)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answering(process: asyncio.subprocess.Process, port: int, key: str, path: str) -> Address:
    """Its address, once it answers there. NotReady where it ends or takes too long."""
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(trust_env=False) as session, asyncio.timeout(START_SECONDS):
            while True:
                if process.returncode is not None:
                    raise NotReady(f"The server at {url} ended with status {process.returncode} as it started.")
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}{path}") as answer:
                        if answer.status == 200:
                            return Address(url, key, process.pid)
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise NotReady(f"The server at {url} did not answer within {START_SECONDS} s.") from None
