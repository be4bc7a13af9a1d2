"""The keeper of this machine's sources as the API and the server's life want it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import msgspec

from app.core.errors import foreign
from app.core.paths import Home
from ingest.keeping.keeper import Keeper


class LocalKeeping:
    """Keeps the sources of a home fresh, and tells how they stand. Nothing here waits on the event loop."""

    def __init__(self, home: Home, keeper: Keeper) -> None:
        self._home, self._keeper = home, keeper

    async def start(self) -> None:
        """Returns at once."""
        await self._keeper.start()

    async def stop(self) -> None:
        """End the runs under way, within seconds."""
        await self._keeper.stop()

    async def sources(self) -> dict[str, Any]:
        """How each source stands, what the disk holds, and what runs now."""

        def look() -> dict[str, Any]:
            from ingest.keeping.disk import disk_use
            from ingest.sync import status

            return {"sources": msgspec.to_builtins(status(self._home)), "disk": msgspec.to_builtins(disk_use(self._home))}

        return {**await asyncio.to_thread(look), "running": msgspec.to_builtins(self._keeper.running())}

    async def ask(self, store: str, source: str | None) -> list[dict[str, str]]:
        """Run these as soon as their store is free. NotFound."""
        try:
            return [{"store": key.store, "source": key.name} for key in await self._keeper.ask(store, source)]
        except sqlite3.Error as error:
            raise foreign(error) from error

    async def schedule(self, store: str, source: str | None, every: str, cron: str, *, on_change: bool) -> list[dict[str, str]]:
        """Choose when these are read again; nothing chosen: never by itself. BadRequest, StoreNotFound, NotFound."""

        def choose() -> list[dict[str, str]]:
            from ingest.keeping import choosing

            never = not (every or cron or on_change)
            chosen = choosing.choose(self._home, store, source, every, cron, on_change=on_change, never=never)
            return [{"store": key.store, "source": key.name, "schedule": words} for key, words in chosen]

        return await asyncio.to_thread(choose)
