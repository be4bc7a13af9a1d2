"""Sync now: `ondol ingest sync` as a child of ours, one at a time; and what the last run came to, also where another program ran it.

The book is the truth: after a run of ours, and when its file has changed, `ondol ingest status` is asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from app.core.errors import OndolError
from app.core.paths import Home
from tray.records import Sync
from tray.watching.command import LINE, Command, code, message

log = logging.getLogger(__name__)
FIRST_LOOK_SECONDS = 5.0  # unless somebody asks before: the server's start comes first
LOOK_SECONDS = 10.0
READ_SECONDS = 60.0  # between two readings while another program writes
END_SECONDS = 3.0
NEWER = "newer_data"  # the code of a book that a newer Ondol has written


class Syncing:
    """`now` and `look` return at once, from any thread; `tell` is called on threads of ours, whenever `Sync` has changed.

    `close` ends a run under way: what it has committed stays, the next run goes on from there.
    """

    def __init__(
        self,
        home: Home,
        tell: Callable[[Sync], None],
        *,
        line: Sequence[str] = LINE,
        first_look: float = FIRST_LOOK_SECONDS,
        look: float = LOOK_SECONDS,
        between: float = READ_SECONDS,
    ) -> None:
        self._home, self._tell, self._line = home, tell, line
        self._first_look, self._look, self._between = first_look, look, between
        self._lock = threading.Lock()
        self._state = Sync()
        self._run: Command | None = None
        self._reading: Command | None = None
        self._wanted, self._wake, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sync", daemon=True)
        self._thread.start()

    def now(self) -> None:
        """Begin a run, unless one of ours is under way."""
        if not self._wanted.is_set() and not self._closing.is_set():
            self._wanted.set()
            self._change(running=True, items=0, total=0)
            self._wake.set()

    def look(self) -> None:
        """Look now whether the book has changed."""
        self._wake.set()

    def close(self, seconds: float = END_SECONDS) -> None:
        """End everything, in about `seconds` at most."""
        self._closing.set()
        self._wake.set()
        if (reading := self._reading) is not None:
            reading.end(0)  # it only reads
        if (run := self._run) is not None:
            run.end(seconds)
        self._thread.join(seconds)

    def _watch(self) -> None:
        seen, read_at = 0.0, 0.0
        self._wake.wait(self._first_look)
        while not self._closing.is_set():
            self._wake.clear()
            changed = self._changed()
            if self._wanted.is_set():
                error = self._synced()
                seen, read_at = self._changed(), time.monotonic()
                found = self._status()
                self._wanted.clear()
                self._change(**{**found, "error": error or found.get("error", ""), "running": False, "items": 0, "total": 0})
            elif changed != seen and (not read_at or time.monotonic() - read_at >= self._between):
                seen, read_at = changed, time.monotonic()
                self._change(**self._status())
            else:
                self._wake.wait(self._look)

    def _changed(self) -> float:
        """When the book was written last; 0 where there is none."""
        at = 0.0
        for path in (self._home.book, self._home.book.with_name(self._home.book.name + "-wal")):
            try:
                at = max(at, path.stat().st_mtime)
            except OSError:
                continue
        return at

    def _synced(self) -> str:
        """Run it to its end; why it stopped, "" where it went well or where its sources say themselves what failed."""
        errors: list[str] = []
        done = threading.Event()
        items: dict[str, tuple[int, int]] = {}

        def line(said: dict[str, Any]) -> None:
            if reason := message(said):
                errors.append(reason)
            elif said.get("event") in ("started", "committed"):
                source = str(said.get("source", ""))
                behind, total = items.get(source, (0, 0))
                items[source] = (int(said.get("items", behind)), int(said.get("total") or total))
                self._change(items=sum(one[0] for one in items.values()), total=_total(items))

        def end(status: int) -> None:
            if status not in (0, 1) and not errors:
                errors.append(f"`ondol ingest sync` ended with status {status}.")
            done.set()

        try:
            self._run = self._command(["ingest", "sync", "--json", "--until-stdin-closes"], line, end)
            if self._closing.is_set():
                self._run.ask_to_end()
            done.wait()
        except OndolError as error:
            errors.append(str(error))
        finally:
            self._run = None
        return errors[-1] if errors else ""

    def _status(self) -> dict[str, Any]:
        """What the book says, as fields of `Sync`; nothing where it could not be read."""
        if not self._home.book.exists():
            return {"last": None, "error": "", "sources": 0}
        sources: list[dict[str, Any]] = []
        failed: list[str] = []
        newer: list[str] = []
        done = threading.Event()

        def line(said: dict[str, Any]) -> None:
            if reason := message(said):
                (newer if code(said) == NEWER else failed).append(reason)
            elif "event" not in said:  # the line about the disk is no source
                sources.append(said)

        try:
            self._reading = self._command(["ingest", "status", "--json"], line, lambda _: done.set())
            done.wait()
        except OndolError as error:
            failed.append(str(error))
        finally:
            self._reading = None
        if newer:  # nothing but an update helps: the menu is to say so
            return {"error": newer[-1]}
        if failed:
            log.warning("the state of the sources can't be read: %s", failed[-1])
            return {}
        last, wrong, count = summary(sources)
        return {"last": last, "error": wrong, "sources": count}

    def _command(self, words: list[str], on_line: Callable[[dict[str, Any]], None], on_end: Callable[[int], None]) -> Command:
        return Command(self._home, words, on_line=on_line, on_end=on_end, line=self._line)

    def _change(self, **fields: Any) -> None:
        # Told under the lock: two threads' news arrive in the order in which they became so.
        with self._lock:
            found = replace(self._state, **fields)
            if found != self._state and not self._closing.is_set():
                self._state = found
                self._tell(found)


def summary(sources: Sequence[dict[str, Any]]) -> tuple[float | None, str, int]:
    """When a run finished last, what went wrong in each source's last one, and how many sources there are. Pure."""
    ends = [float(one["last_finished"]) for one in sources if one.get("last_finished")]
    errors = []
    for one in sources:
        stopped = str((one.get("last_summary") or {}).get("error") or "")
        failures = one.get("failures") or ()
        if stopped:
            errors.append(f"{one.get('name', '')}: {stopped}")
        elif failures:
            first = failures[0]
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            errors.append(f"{first.get('item', '')}: {first.get('reason', '')}{more}")
    return max(ends, default=None), "; ".join(errors), len(sources)


def _total(items: dict[str, tuple[int, int]]) -> int:
    """Of all sources; 0 as soon as one does not know its own."""
    return sum(total for _, total in items.values()) if all(total for _, total in items.values()) else 0
