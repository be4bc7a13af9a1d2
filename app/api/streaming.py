"""Steps as server-sent events, and what the client's leaving means.

The status line waits for the first step, but no longer than `PATIENCE`: so a prompt that is too long or a wrong name is a
proper HTTP error, while a model that has to load first shows its headers and comments. The client's leaving closes the
steps, which stops the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from litestar import Request

from app.api.choices import Numbered
from app.api.errors import body_of, translate
from app.core.errors import Cancelled

log = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE = 1.0
KEEP_ALIVE = 5.0
_encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"
COMMENT = b": waiting\n\n"


def data(body: Any) -> bytes:
    """One event."""
    return b"data: " + _encode(body) + b"\n\n"


class Begun:
    """Steps that are read as they come, the first of them awaited apart, so that an early error can still be an HTTP status.

    One task reads them for the whole answer: what comes while a client is being written to goes out with the next write.
    `korean`: what errors are told in.
    """

    def __init__(self, steps: AsyncGenerator[Numbered, None], *, korean: bool = False) -> None:
        self._steps, self._korean = steps, korean
        self._news: list[Numbered | Exception] = []
        self._moved = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._broken = False

    async def begin(self, patience: float = PATIENCE) -> None:
        """Wait up to `patience` seconds for the first step; raises what it raises."""
        self._reading = asyncio.create_task(self._read())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), patience)
        if self._news and isinstance(self._news[0], Exception):
            raise self._news[0]

    async def _read(self) -> None:
        try:
            async for step in self._steps:
                self._news.append(step)
                self._moved.set()
        except Exception as error:  # noqa: BLE001 - told, or raised, where the steps are wanted
            self._news.append(error)
        finally:
            self._moved.set()

    async def events(self, render: Callable[[Numbered], list[Any]], failed: Callable[[str], None]) -> AsyncIterator[bytes]:
        """The rest as events: `render` turns a step into bodies. An error becomes one more event, in OpenAI's shape.

        A comment keeps the connection alive where nothing was sent for a while, be it that steps came which this client isn't shown.
        """
        assert self._reading is not None, "begun"
        loop = asyncio.get_running_loop()
        sent = loop.time()
        try:
            while True:
                ended = self._reading.done()
                self._moved.clear()
                news, self._news = self._news, []
                if said := b"".join(data(body) for body in self._bodies(news, render, failed)):
                    yield said
                    sent = loop.time()
                elif loop.time() - sent >= KEEP_ALIVE:
                    yield COMMENT
                    sent = loop.time()
                if ended or self._broken:
                    break
                # A timer for each step would cost more than the step: this one wakes now and then for nothing.
                timer = loop.call_at(sent + KEEP_ALIVE, self._moved.set)
                try:
                    await self._moved.wait()
                finally:
                    timer.cancel()
            yield DONE
        finally:
            await self.close()

    def _bodies(
        self, news: list[Numbered | Exception], render: Callable[[Numbered], list[Any]], failed: Callable[[str], None]
    ) -> Iterator[Any]:
        try:
            for one in news:
                if isinstance(one, Exception):
                    raise one
                yield from render(one)
        except Exception as error:  # noqa: BLE001 - whatever broke, the client is told in the stream
            self._broken = True
            found = translate(error)
            failed(found.code)
            yield body_of(found, korean=self._korean)

    async def close(self) -> None:
        """Stop the model, also one that has not begun."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._steps.aclose()


async def unless_gone(request: Request[Any, Any, Any], work: Awaitable[T]) -> T:
    """The work's result; when the client leaves first, the work is cancelled and `Cancelled` raised."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Cancelled()
        return task.result()
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await one


async def _gone(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
