"""Keeps the models and downloads of the running server fresh: its events say when to look, its list says what is so.

Two threads: one listens to the events and connects again whenever they end, one looks, at most once a second.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from app.core.errors import OndolError
from tray.records import Download
from tray.watching.client import Client, Events, Listing, News

log = logging.getLogger(__name__)
APART_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0

# The listing as it is now, and the downloads that have become models since the last call.
Tell = Callable[[Listing, tuple[str, ...]], None]


class ModelsWatch:
    """Watches one server at a time. `tell` is called from its own thread, when something has changed.

    `follow` and `look` return at once, from any thread; `close` after at most two seconds.
    """

    def __init__(self, key: Callable[[], str], tell: Tell, *, apart: float = APART_SECONDS) -> None:
        self._key, self._tell, self._apart = key, tell, apart
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._events: Events | None = None
        self._finished: list[str] = []
        self._dirty, self._moved, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, name="model events", daemon=True),
            threading.Thread(target=self._keep_looking, name="models", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def client(self) -> Client | None:
        """Of the server that is watched; None where none runs."""
        return self._client

    def follow(self, address: str) -> None:
        """Watch the server there from now on; "" where none runs."""
        with self._lock:
            if (self._client.address if self._client else "") == address:
                return
            self._client = Client(address, self._key) if address else None
            events, self._events = self._events, None
        if events is not None:
            events.close()
        self._moved.set()
        self._dirty.set()

    def look(self) -> None:
        """Something was changed from here: look soon."""
        self._dirty.set()

    def close(self) -> None:
        """End both threads."""
        self._closing.set()
        self.follow("")
        self._moved.set()
        self._dirty.set()
        end = time.monotonic() + 2.0
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _listen(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            client = self._client
            if client is None:
                self._moved.wait()
                self._moved.clear()
                pause = FIRST_PAUSE
                continue
            try:
                events = client.events()
            except OndolError as error:
                log.info("the server's events: %s", error)
            else:
                with self._lock:
                    current = self._client is client
                    self._events = events if current else None
                if current and self._read(events):
                    pause = FIRST_PAUSE
                events.close()
            self._dirty.set()
            # Spread out: after a sleep of the machine several of us come back at once.
            self._moved.wait(pause * random.uniform(0.7, 1.3))  # noqa: S311  # no secret
            self._moved.clear()
            pause = min(pause * 2, LONGEST_PAUSE)

    def _read(self, events: Events) -> bool:
        """Whether anything came."""
        came = False
        for news in events:
            came = True
            if isinstance(news, News) and news.finished:
                with self._lock:
                    self._finished.append(news.finished)
            # Also at a sign of life: another program may have changed what no event tells, such as the default.
            self._dirty.set()
        return came

    def _keep_looking(self) -> None:
        told: Listing | None = None
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            client = self._client
            found = told or Listing()
            if client is None:
                found = Listing()
            else:
                with contextlib.suppress(OndolError):
                    found = remember(found, client.listing())
            with self._lock:
                finished, self._finished = tuple(self._finished), []
            if (found != told or finished) and not self._closing.is_set():
                told = found
                self._tell(found, finished)
            self._closing.wait(self._apart)


def remember(before: Listing, now: Listing) -> Listing:
    """A stopped download has no numbers of its own any more: it keeps the last that were seen."""
    known = {one.id: one for one in before.downloads}
    return replace(now, downloads=tuple(_kept(known.get(one.id), one) for one in now.downloads))


def _kept(before: Download | None, now: Download) -> Download:
    if before is None or now.total or now.done:
        return now
    return replace(now, done=before.done, total=before.total)
