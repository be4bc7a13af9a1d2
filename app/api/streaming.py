"""Steps as server-sent events, and what the client's leaving means.

The status line waits for the first step, but no longer than `PATIENCE`: so a prompt that is too long or a wrong name is a
proper HTTP error, while a model that has to load first shows its headers and comments. The client's leaving closes the
steps, which stops the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
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
    """Steps whose first is awaited apart, so that an early error can still be an HTTP status. `korean`: what errors are told in."""

    def __init__(self, steps: AsyncGenerator[Numbered, None], *, korean: bool = False) -> None:
        self._steps, self._korean = steps, korean
        self._next: asyncio.Task[Numbered] | None = None

    async def begin(self, patience: float = PATIENCE) -> None:
        """Wait up to `patience` seconds for the first step; raises what it raises."""
        self._next = asyncio.ensure_future(anext(self._steps))
        done, _ = await asyncio.wait([self._next], timeout=patience)
        if done and (error := self._next.exception()) is not None:
            raise error

    async def events(self, render: Callable[[Numbered], list[Any]], failed: Callable[[str], None]) -> AsyncIterator[bytes]:
        """The rest as events: `render` turns a step into bodies. An error becomes one more event, in OpenAI's shape.

        A comment keeps the connection alive where nothing was sent for a while, be it that steps came which this client isn't shown.
        """
        loop = asyncio.get_running_loop()
        sent = loop.time()
        try:
            while True:
                task = self._next or asyncio.ensure_future(anext(self._steps))
                self._next = task
                while not (await asyncio.wait([task], timeout=max(0.0, sent + KEEP_ALIVE - loop.time())))[0]:
                    yield COMMENT
                    sent = loop.time()
                self._next = None
                try:
                    step = task.result()
                except StopAsyncIteration:
                    break
                for body in render(step):
                    yield data(body)
                    sent = loop.time()
            yield DONE
        except Exception as error:  # noqa: BLE001 - whatever broke, the client is told in the stream
            found = translate(error)
            failed(found.code)
            yield data(body_of(found, korean=self._korean))
            yield DONE
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop the model, also one that has not begun."""
        if self._next is not None:
            self._next.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                await self._next
            self._next = None
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
