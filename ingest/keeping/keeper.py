"""Keeps sources fresh by their schedules: runs begin as processes of low priority, end within limits, and what they came to is in the book.

The keeper itself remembers nothing that matters. Whether a source is due follows from the book alone, so it can be killed at any moment,
and two keepers at once (a server and `ondol ingest watch`) do no harm: a store has one writer, and who finds it taken comes back later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.core.errors import NotFound, OndolError
from app.core.names import composed
from app.core.paths import Home
from ingest import naming
from ingest.book.engine import update_book
from ingest.keeping import due
from ingest.keeping.child import Child, Ended
from ingest.keeping.events import FolderEvents
from ingest.keeping.kept import Kept, Key, read_kept, record_dead
from ingest.keeping.schedule import back_off
from ingest.keeping.settling import LONGEST_SECONDS, QUIET_SECONDS, Settling

log = logging.getLogger(__name__)

LINE = (sys.executable, "-P", "-X", "utf8", "-m", "app.cli")
LOOK_SECONDS = 5.0
STUCK_SECONDS = 3600.0
_DONE = (0, 1)
_TRY_LATER = 75


class Pace(NamedTuple):
    """How quickly a keeper looks, in seconds; how many runs go on at once.

    `stuck`: a run that says nothing for so long is ended. A folder that changes is run once it was `quiet` for so long,
    or in motion for the `longest` time.
    """

    look: float = LOOK_SECONDS
    stuck: float = STUCK_SECONDS
    quiet: float = QUIET_SECONDS
    longest: float = LONGEST_SECONDS
    at_once: int = due.AT_ONCE


class Running(msgspec.Struct, frozen=True):
    """A run under way. `items` of `total` are behind; 0: not known."""

    store: str
    source: str
    since: float
    pid: int = 0
    items: int = 0
    total: int = 0


class Keeper:
    """One event loop's. `adopt` turns what the book says into what is kept (`ingest watch` has sources of its own choice)."""

    def __init__(
        self,
        home: Home,
        *,
        line: Sequence[str] = LINE,
        adopt: Callable[[Sequence[Kept]], Sequence[Kept]] = tuple,
        on_line: Callable[[Key, dict[str, Any]], None] | None = None,
        pace: Pace = Pace(),  # noqa: B008 - immutable
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._line, self._adopt, self._on_line = home, tuple(line), adopt, on_line
        self._pace, self._clock, self._ticks = pace, clock, ticks
        self._settling: Settling[Key] = Settling(pace.quiet, pace.longest)
        self._asked: set[Key] = set()
        self._resting: dict[Key, tuple[int, float]] = {}
        self._runs: dict[Key, tuple[asyncio.Task[None], Running]] = {}
        self._events: dict[Key, FolderEvents] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._fault = ""

    async def start(self) -> None:
        """Returns at once."""
        self._loop = asyncio.create_task(self._keep(), name="keep sources fresh")

    async def stop(self) -> None:
        """End what runs: what it has committed stays, and the next run goes on from there."""
        watches = list(self._events.values())
        for watch in watches:
            watch.close()
        tasks = [task for task in (self._loop, *(task for task, _ in self._runs.values())) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()
        for watch in watches:
            await asyncio.to_thread(watch.join, 5.0)

    async def ask(self, store: str, source: str | None = None) -> list[Key]:
        """Run these as soon as their store is free, whatever their schedule says; which ones. NotFound where there are none."""
        kept = await asyncio.to_thread(read_kept, self._home.book)
        mine = [one.key for one in kept if one.key.store == composed(store)]
        named = naming.meant([key.name for key in mine], source)
        found = [key for key in mine if key.name in named]
        if not found:
            raise NotFound(f'The store "{store}" has no such source.', hint="`ondol ingest status` lists what there is.", param="source")
        self._asked.update(found)
        self._wake.set()
        return found

    def running(self) -> list[Running]:
        """What runs now."""
        return [running for _, running in self._runs.values()]

    async def _keep(self) -> None:
        with contextlib.suppress(OndolError):  # said by whoever reads it next
            await asyncio.to_thread(update_book, self._home.book, self._home.locks)
        while True:
            try:
                self._turn(await self._look())
            except Exception:
                log.exception("a look at the schedules failed; the next one follows")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())
            self._wake.clear()

    def _pause(self) -> float:
        """Seconds to the next look. What has settled and was not begun waits for a run's end, or for its turn."""
        settles, now = self._settling.next(), self._ticks()
        return self._pace.look if settles is None or settles <= now else min(self._pace.look, settles - now)

    def _turn(self, kept: Sequence[Kept]) -> None:
        """Watch and begin what is to be watched and begun now."""
        self._watch(kept)
        ticks = self._ticks()
        now = due.Now(
            self._clock(),
            running=list(self._runs),
            asked=self._asked,
            changed=self._settling.settled(ticks),
            resting={key for key, (_, until) in self._resting.items() if until > ticks},
        )
        for key in due.begin(kept, now, self._pace.at_once):
            self._begin(key, next(one for one in kept if one.key == key))

    async def _look(self) -> Sequence[Kept]:
        try:
            kept = self._adopt(await asyncio.to_thread(read_kept, self._home.book))
        except (OndolError, sqlite3.Error) as error:
            if str(error) != self._fault:
                log.warning("the schedules can't be read: %s", error)
            self._fault = str(error)
            return ()
        self._fault = ""
        known = {one.key for one in kept}
        self._asked &= known
        self._resting = {key: rest for key, rest in self._resting.items() if key in known}
        return kept

    def _watch(self, kept: Sequence[Kept]) -> None:
        """A watch for each folder that is read on change, and for no other."""
        wanted = {one.key: one.path for one in kept if one.schedule is not None and one.schedule.on_change and one.path}
        for key in [key for key in self._events if key not in wanted]:
            self._events.pop(key).close()
        loop = asyncio.get_running_loop()
        for key, path in wanted.items():
            if key not in self._events:
                self._events[key] = FolderEvents(Path(path), lambda key=key: _from_thread(loop, self._changed, key))  # type: ignore[misc]

    def _changed(self, key: Key) -> None:
        self._settling.note(key, self._ticks())
        self._wake.set()

    def _begin(self, key: Key, before: Kept) -> None:
        self._asked.discard(key)
        if key in self._settling.settled(self._ticks()):
            self._settling.take(key)
        # Else it is in motion: this run may come too early for what is being written, and another one follows it.
        task = asyncio.create_task(self._run(key, before), name=f"run {key.name}")
        self._runs[key] = task, Running(key.store, key.name, self._clock())

    async def _run(self, key: Key, before: Kept) -> None:
        try:
            ended = await self._ended(key)
            await self._settle(key, before, ended)
        except Exception:
            log.exception("%s of %s could not be read again", key.name, key.store)
            self._rest(key)
        finally:
            self._runs.pop(key, None)
            self._wake.set()

    async def _ended(self, key: Key) -> Ended:
        words = ["ingest", "sync", "--in", key.store, "--source", key.name, "--json", "--gently", "--until-stdin-closes"]
        try:
            child = await Child.start([*self._line, *words], self._home.root, lambda said: self._heard(key, said))
        except OndolError as error:
            return Ended(None, str(error))
        self._tell(key, pid=child.pid)
        log.info("%s of %s is read again, at low priority (pid %d)", key.name, key.store, child.pid)
        ended = await child.run(self._pace.stuck)
        if ended.status is None:
            return Ended(None, f"It told no progress for {self._pace.stuck / 60:.0f} minutes and was ended.")
        return ended

    async def _settle(self, key: Key, before: Kept, ended: Ended) -> None:
        """See to it that a run which could not say so itself counts as failed, and that nothing is begun again and again."""
        now = next((one for one in await self._look() if one.key == key), None)
        if now is None:
            return  # forgotten meanwhile
        began = now.past.started != before.past.started
        if began and ended.status in _DONE and now.past.outcome != "running":
            self._resting.pop(key, None)
            return
        reason = ended.error or f"It ended with status {ended.status}."
        log.warning("%s of %s was not read: %s", key.name, key.store, reason)
        if began or ended.status != _TRY_LATER:
            try:
                await asyncio.to_thread(record_dead, self._home, key, reason, self._clock())
                return
            except OndolError as error:
                log.warning("that can't be written down: %s", error)
        # Another program writes the store, or the book can't be written: it waits here, where nobody else can see it.
        self._rest(key)

    def _rest(self, key: Key) -> None:
        times = self._resting.get(key, (0, 0.0))[0] + 1
        self._resting[key] = times, self._ticks() + back_off(times, 0.5)

    def _heard(self, key: Key, said: dict[str, Any]) -> None:
        if said.get("event") in ("started", "committed"):
            news = {name: int(said[name]) for name in ("items", "total") if said.get(name) is not None}
            self._tell(key, **news)
        if self._on_line is not None:
            self._on_line(key, said)

    def _tell(self, key: Key, **news: int) -> None:
        if key in self._runs:
            task, running = self._runs[key]
            self._runs[key] = task, msgspec.structs.replace(running, **news)


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[Key], None], key: Key) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(call, key)
