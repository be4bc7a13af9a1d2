"""Chats first: a model that writes a title works while no chat waits for its first text.

A title's request comes some milliseconds before or after the chat that it is for, and its prompt holds the processor for
seconds on a small machine. So such work waits for a lull, and makes room when a chat comes after all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
# Seconds without a waiting chat before work behind chats begins: a page sends a title just before its chat.
LULL = 0.1
MOST_TRIES = 5


class Turns:
    """Counts the chats that wait for their first text. For one event loop."""

    def __init__(self, *, lull: float = LULL) -> None:
        self._lull = lull
        self._waiting = 0
        self._came, self._quiet = asyncio.Event(), asyncio.Event()
        self._quiet.set()

    @contextlib.contextmanager
    def chat(self) -> Iterator[Callable[[], None]]:
        """Around a chat; what it yields is called at the first text. More than once does nothing, the end does it too."""
        told = False

        def begun() -> None:
            nonlocal told
            if not told:
                told = True
                self._waiting -= 1
                if not self._waiting:
                    self._quiet.set()
                    self._came.clear()

        self._waiting += 1
        self._came.set()
        self._quiet.clear()
        try:
            yield begun
        finally:
            begun()

    async def behind(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """The work's result; it is given up and begun again when a chat comes, and None after some such tries."""
        for _ in range(MOST_TRIES):
            await self._wait_for_lull()
            task = asyncio.ensure_future(work())
            came = asyncio.ensure_future(self._came.wait())
            try:
                await asyncio.wait([task, came], return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
            finally:
                for one in (task, came):
                    if not one.done():
                        one.cancel()
                        with contextlib.suppress(asyncio.CancelledError, Exception):
                            await one
        return None

    async def _wait_for_lull(self) -> None:
        while True:
            await self._quiet.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lull):
                    await self._came.wait()
            if not self._waiting:
                return
