"""Whether documents are still as they were read: their rows by key, their files by size, time and hash. For citations.

Whoever asks has little patience, and what is asked may hang: a database that never answers, a network drive that is gone. So each
database and each folder is looked at in a thread of its own, one look at a time: those behind one that hangs wait as long as they
like, and for some seconds after one has failed the next are answered with nothing at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.core.errors import OndolError
from app.core.paths import Home
from app.core.records import Freshness
from ingest.chunking import ChunkOptions
from ingest.cited import Cited, Group, groups
from ingest.fresh_files import look_at_files
from ingest.options import Labels, rule_of

if TYPE_CHECKING:  # the driver of PostgreSQL comes with it: a server whose stores hold files alone never loads it
    from ingest.postgres.fresh import Rows

log = logging.getLogger(__name__)

DOWN_SECONDS = 15.0
KEEP_SECONDS = 60.0


class FreshnessChecker:
    """Looks at the sources of one home. For one event loop; `close` at its end.

    `chunk`: how documents are cut by the settings in force. `down_seconds`: how long a place that failed is left alone.
    """

    def __init__(self, home: Home, chunk: ChunkOptions, *, down_seconds: float = DOWN_SECONDS, keep_seconds: float = KEEP_SECONDS) -> None:
        self._home, self._chunk = home, chunk
        self._down_seconds, self._keep_seconds = down_seconds, keep_seconds
        self._turns: dict[str, asyncio.Lock] = {}
        self._down: dict[str, float] = {}
        self._databases: dict[str, Rows] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def look(self, documents: Sequence[Cited]) -> AsyncIterator[Mapping[Cited, Freshness]]:
        """What the (store, id) pairs are like now, in parts as they come; what nobody can tell is left out."""
        found = await asyncio.to_thread(groups, self._home.book, documents)
        looks = [asyncio.create_task(self._group(group)) for group in found]
        try:
            for part in asyncio.as_completed(looks):
                yield await part
        finally:
            for look in looks:
                look.cancel()

    async def _group(self, group: Group) -> Mapping[Cited, Freshness]:
        held = {id: hash for (_, id), hash in group.held.items()}
        told: Mapping[str, Freshness] | None = None
        if group.kind == "files":
            told = await self._aside(
                f"files {group.source}", lambda: look_at_files(group.spec, group.stamps, list(held), folder=group.folder)
            )
        elif group.kind == "postgres":
            told = await self._rows(group, held)
        return {(group.store, id): freshness for id, freshness in (told or {}).items()}

    async def _rows(self, group: Group, held: Mapping[str, str]) -> Mapping[str, Freshness] | None:
        from ingest.postgres.dsn import Dsn

        place = Dsn(group.spec["dsn"]).secret_name
        rules = [rule_of(self._chunk, Labels.of(group.spec))]
        rules += [group.rule] if group.rule and group.rule not in rules else []
        if timer := self._timers.pop(place, None):
            timer.cancel()
        self._timers[place] = asyncio.get_running_loop().call_later(self._keep_seconds, self._let_go, place)
        told: Mapping[str, Freshness] | None
        told = await self._aside(place, lambda: self._database(place, group.spec).look(group.spec, held, rules))
        return told

    def _database(self, place: str, spec: Mapping[str, Any]) -> Rows:
        if place not in self._databases:
            from ingest.postgres.fresh import Rows
            from ingest.postgres.kept import kept_dsn

            self._databases[place] = Rows(kept_dsn(self._home, spec))
        return self._databases[place]

    async def _aside(self, place: str, work: Callable[[], Any]) -> Any:
        """The work's result from a thread of its own; None where that is down or fails. It works on when its caller has gone."""
        turn = self._turns.setdefault(place, asyncio.Lock())
        await turn.acquire()
        if self._down.get(place, 0.0) > time.monotonic():
            turn.release()
            return None
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()

        def ended(value: Any, error: Exception | None) -> None:
            turn.release()
            if error is not None:
                self._down[place] = time.monotonic() + self._down_seconds
                self._let_go(place)
                log.info("what is cited could not be looked at again: %s", error if isinstance(error, OndolError) else type(error).__name__)
            if not result.done():
                result.set_result(value)

        def run() -> None:
            value, fault = None, None
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 - whatever it is: nobody can say how the document is
                fault = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended, value, fault)

        # A daemon: a drive that never answers must not keep the server from ending.
        threading.Thread(target=run, name=f"look at {place}", daemon=True).start()
        return await result

    def _let_go(self, place: str) -> None:
        if timer := self._timers.pop(place, None):
            timer.cancel()
        if place in self._turns and self._turns[place].locked():
            if place in self._databases:
                self._timers[place] = asyncio.get_running_loop().call_later(self._keep_seconds, self._let_go, place)
            return
        if (rows := self._databases.pop(place, None)) is not None:
            threading.Thread(target=rows.close, name=f"leave {place}", daemon=True).start()

    async def close(self) -> None:
        """Let all connections go."""
        for place in list(self._databases):
            self._let_go(place)
