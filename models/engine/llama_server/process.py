"""llama-server as a child of this process: started under its guard, waited for, and ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from app.core import ports
from app.core.errors import BadRequest, NotReady, OndolError
from models.engine.llama_server import guard, program
from models.engine.llama_server.program import Program, Share
from models.engine.llama_server.wire import error

log = logging.getLogger("llama-server")
TRIES = 3  # another program may take the port between our look and its start
_LOOK_EVERY = 0.05
_LARGEST_EVENT = 64 << 20  # bytes: its last event repeats the prompt


class LlamaServer:
    """One running llama-server. `session` speaks to it, with its key; `ended` is done when it has ended, with the reason in words."""

    def __init__(self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self.session = session
        self._process = process
        self._tail: deque[str] = deque(maxlen=40)
        self._reading = asyncio.create_task(self._read())
        self.ended = asyncio.create_task(self._end())

    @classmethod
    async def start(cls, found: Program, model: Path, share: Share) -> LlamaServer:
        """Ready to serve. BadRequest (code "bad_model_file") where it refuses the model, with what it said."""
        for left in reversed(range(TRIES)):
            port, key = ports.any_free(), secrets.token_hex(24)
            line = [sys.executable, "-I", str(guard.__file__), *program.line(found, model, share, port)]
            pipe = asyncio.subprocess.PIPE
            try:
                process = await asyncio.create_subprocess_exec(
                    *line, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "LLAMA_API_KEY": key}
                )
            except OSError as error:
                raise NotReady(f"{found.path} can't be started: {error.strerror or error}.", hint="Try again.") from None
            session = aiohttp.ClientSession(
                f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                # It closes connections that rest, which a request on its way would be lost with.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                read_bufsize=_LARGEST_EVENT,
                trust_env=False,
            )
            server = cls(process, session)
            try:
                await server._answers()
            except BaseException:
                await server.stop()
                if left and server.said("bind"):
                    continue
                raise
            return server
        raise NotReady("llama-server found no free port.", hint="Try again.")

    async def _answers(self) -> None:
        """Until the model is loaded. It is ours that answers: another program has not its key."""
        while not self.ended.done():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.get("/health") as health:
                    loaded = health.status == 200
                if loaded:
                    async with self.session.get("/props") as props:
                        if props.status == 200:
                            return
            await asyncio.wait([self.ended], timeout=_LOOK_EVERY)
        raise BadRequest(
            f"llama-server can't load this model: {self.ended.result()}.",
            hint="Pull the model again, choose another file, or set a smaller `models.context`.",
            code="bad_model_file",
        )

    async def get(self, path: str) -> Mapping[str, Any]:
        """A JSON answer; its errors as ours."""
        async with self.session.get(path) as answer:
            return await checked(answer)

    def said(self, word: str) -> bool:
        """Whether one of its last lines has this word."""
        return any(word in line for line in self._tail)

    async def stop(self) -> None:
        """End it. Also where it has ended already."""
        await self.session.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), 2 * guard.GRACE_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended

    async def _read(self) -> None:
        """What it prints goes to our log; the end of it is kept for the reason of its end."""
        assert self._process.stdout is not None, "started with a pipe"
        while True:
            try:
                data = await self._process.stdout.readline()
            except ValueError:  # a line longer than the buffer: passed over in parts
                continue
            if not data:
                return
            if line := data.decode("utf-8", "replace").strip():
                self._tail.append(line)
                log.debug("%s", line)

    async def _end(self) -> str:
        status = await self._process.wait()
        await asyncio.wait([self._reading], timeout=1)
        how = f"it was ended by signal {status - 128}" if status > 128 else f"it ended with status {status}"
        errors = [line for line in self._tail if "error" in line.lower() or "failed" in line.lower()]
        return f"{how} ({errors[-1][:300]})" if errors else how


async def checked(answer: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """The JSON of an answer; raises what `wire.error` makes of one that is no success."""
    try:
        body = await answer.json(content_type=None)
    except ValueError:
        raise OndolError("llama-server's answer is no JSON.", hint="Try again.") from None
    if answer.status != 200:
        raise error(answer.status, body)
    return dict(body)
