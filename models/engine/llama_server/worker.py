"""The process between us and a native llama-server: `python -m models.engine.llama_server.worker`, started by `models.engine.client`.

It takes the requests of our own engine's worker and gives the same replies, so nobody else needs to know which of the two
runs. llama-server is its child, and ends with it; when llama-server ends by itself, so does this process, and the next
request starts both again. Its queue stands here: who waits is told its place, chats before tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from app.core import logs
from app.core.errors import BadRequest, WorkerDied
from app.core.records import Generation, Priority, Waiting
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from models.engine import machine
from models.engine.adapters import Scales
from models.engine.client import EngineInfo, EngineSettings
from models.engine.fit import Wishes, fit
from models.engine.llama_server import program, wire
from models.engine.llama_server.process import LlamaServer, checked
from models.engine.llama_server.program import Share
from models.engine.llama_server.turns import Turns
from models.gguf import read_header

log = logging.getLogger(__name__)
LAST_BREATH = 1.0  # seconds between a connection's end and its process's
LINGER_SECONDS = 4.0  # when the parent goes, llama-server is ended first


class Relay:
    """Requests of the parent become requests of llama-server. For the thread of its event loop alone."""

    def __init__(self, channel: Channel, server: LlamaServer, turns: Turns, usual: Scales = ()) -> None:
        self._channel, self._server, self._turns, self._usual = channel, server, turns, usual
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._given_up: set[int] = set()
        self._moved = asyncio.Condition()
        self._told = (0, 0)
        self._prompt_tokens = self._completion_tokens = 0

    def take(self, call: Call) -> None:
        """Begin with a request, or give one up."""
        if call.op != "cancel":
            self._tasks[call.id] = asyncio.create_task(self._answer(call))
        elif (task := self._tasks.get(call.body)) is not None:
            self._given_up.add(call.body)
            task.cancel()

    async def _answer(self, call: Call) -> None:
        with logs.bind(call.request_id):
            try:
                await self._carry_out(call)
            except (asyncio.CancelledError, aiohttp.ClientError, json.JSONDecodeError, WorkerDied) as error:
                if call.id in self._given_up:
                    self._channel.done(call.id)
                elif not await self._gone():
                    self._channel.error(
                        call.id, WorkerDied(f"llama-server broke off: {str(error) or type(error).__name__}.", hint="Try again.")
                    )
            # One request that makes no sense must not end the others.
            except Exception as error:  # noqa: BLE001
                self._channel.error(call.id, error)
            finally:
                del self._tasks[call.id]
                self._given_up.discard(call.id)

    async def _gone(self) -> bool:
        """Whether llama-server has ended: then this process does too, and the parent tells all who wait, when it may be asked again."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._server.ended], timeout=LAST_BREATH)
        return self._server.ended.done()

    async def _carry_out(self, call: Call) -> None:
        match call.op:
            case "generate":
                request = msgspec.convert(call.body["request"], Generation)
                await self._generate(call.id, request, Priority(call.body["priority"]))
            case "count":
                self._channel.done(call.id, await self._count(msgspec.convert(call.body, Generation)))
            case "stats":
                running, waiting = self._turns.crowd
                counts = {"prompt_tokens": self._prompt_tokens, "completion_tokens": self._completion_tokens}
                self._channel.done(call.id, {"running": running, "waiting": waiting, **counts})
            case other:
                raise BadRequest(
                    f"llama-server is not asked for {other!r} here.", hint="Set `models.engine: built-in` for that.", code="unsupported"
                )

    async def _generate(self, id: int, request: Generation, priority: Priority) -> None:
        path, body = wire.asked(request, self._usual)
        self._turns.join(id, priority)
        try:
            await self._turn(id)
            answer = wire.Answer(request.logprobs)
            async with self._server.session.post(path, json=body) as response:
                if response.status != 200:
                    await checked(response)
                async for event in _events(response):
                    if (piece := answer.take(event)) is not None:
                        self._channel.item(id, msgspec.to_builtins(piece))
                    else:
                        self._channel.event({"beat": True})
            last = answer.end()
            assert last.usage is not None, "the last piece has it"
            self._prompt_tokens += last.usage.prompt_tokens
            self._completion_tokens += last.usage.completion_tokens
            self._channel.done(id, msgspec.to_builtins(last))
        finally:
            self._turns.leave(id)
            await asyncio.shield(self._move())

    async def _turn(self, id: int) -> None:
        """Until it may run; its place is told when it changes."""
        await self._move()
        told = 0
        while not self._turns.runs(id):
            place = self._turns.place(id)
            if place != told:
                told = place
                self._channel.item(id, msgspec.to_builtins(Waiting("queued", place=place)))
            async with self._moved:
                if not self._turns.runs(id) and self._turns.place(id) == told:
                    await self._moved.wait()

    async def _move(self) -> None:
        """The queue has changed: those in it look at their places, and the parent hears how many there are."""
        async with self._moved:
            self._moved.notify_all()
        if self._turns.crowd != self._told:
            self._told = self._turns.crowd
            running, waiting = self._told
            self._channel.event({"running": running, "waiting": waiting})

    async def _count(self, request: Generation) -> int:
        prompt = request.prompt
        if prompt is None:
            async with self._server.session.post("/apply-template", json=wire.template(request)) as answer:
                prompt = (await checked(answer))["prompt"]
        async with self._server.session.post("/tokenize", json={"content": prompt, "add_special": True, "parse_special": True}) as answer:
            return len((await checked(answer))["tokens"])


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each server-sent event, until the end of the stream."""
    async for line in response.content:
        name, _, data = line.strip().partition(b":")
        if name == b"error":
            raise wire.error(500, json.loads(data))
        if name == b"data" and data.strip() != b"[DONE]":
            yield json.loads(data)


async def _serve(channel: Channel) -> None:
    settings = dict(channel.settings)
    path = Path(settings.pop("model"))
    wishes = msgspec.convert(settings, EngineSettings)
    header = read_header(path)
    found = await asyncio.to_thread(program.find, wishes.llama_server)
    here = machine.look()
    layout = fit(header, Wishes(wishes.context, wishes.parallel, wishes.threads, wishes.gpu_layers), here)
    log.info("starting %s (%s) over %s", found.path, found.version, path)
    # It knows its GPUs better than we do from outside.
    adapters = tuple(one.path for one in wishes.adapters)
    share = Share(layout.cells, wishes.parallel, layout.threads, wishes.gpu_layers, adapters, wishes.projector)
    server = await LlamaServer.start(found, path, share)
    try:
        props = await server.get("/props")
        context = int(props.get("default_generation_settings", {}).get("n_ctx", 0)) or layout.context
        info = EngineInfo(
            name=header.name or path.stem,
            architecture=header.architecture,
            quantisation=header.quantisation,
            parameters=header.parameters,
            size_bytes=header.file_size,
            context=context,
            cells=layout.cells,
            parallel=wishes.parallel,
            threads=layout.threads,
            gpu_layers=wishes.gpu_layers,
            chat_template=bool(header.chat_template),
            vision=bool(wishes.projector),
        )
        channel.hello(msgspec.to_builtins(info))
        channel.event({"running": 0, "waiting": 0})
        relay = Relay(channel, server, Turns(wishes.parallel, wishes.max_queue), tuple(one.scale for one in wishes.adapters))
        calls = _calls(channel)
        getting = asyncio.create_task(calls.get())
        while True:
            await asyncio.wait([getting, server.ended], return_when=asyncio.FIRST_COMPLETED)
            if server.ended.done():
                raise WorkerDied(f"llama-server has gone: {server.ended.result()}.", hint="Try again.")
            call = getting.result()
            if call is None:
                return
            relay.take(call)
            getting = asyncio.create_task(calls.get())
    finally:
        await server.stop()


def _calls(channel: Channel) -> asyncio.Queue[Call | None]:
    """What the parent sends, for the event loop; None when it has gone."""
    loop, calls = asyncio.get_running_loop(), asyncio.Queue[Call | None]()

    def read() -> None:
        # The loop closes while this thread waits for the parent's next word: then nobody wants it.
        with contextlib.suppress(RuntimeError):
            call: Call | None = Call(0, "")
            while call is not None:
                call = channel.get()
                loop.call_soon_threadsafe(calls.put_nowait, call)

    threading.Thread(target=read, name="calls", daemon=True).start()
    return calls


def main() -> None:
    """Start llama-server over what the parent asks for, say hello, serve."""
    with Channel.open(linger=LINGER_SECONDS) as channel:
        asyncio.run(_serve(channel))


if __name__ == "__main__":
    main()
