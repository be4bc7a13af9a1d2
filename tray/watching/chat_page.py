"""Open chat: `ondol open-webui` as a child of ours, watched like the server, and shown in the browser when it is ready.

    stopped -> starting -> ready            opened in the browser; it ends by itself: again, later and later
                        -> absent           none is on this machine: how to get it
                        -> failed           why; another click tries again

It speaks to the server's address of its start: when that changes, it is started again. It never starts a server of its own, as the
command does for people: the two would take the data folder from each other.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core import ports
from app.core.errors import OndolError
from app.core.paths import Home
from tray.records import ChatPage
from tray.watching.command import LINE, Command, code, message

log = logging.getLogger(__name__)
NEARBY = 20  # ports that are tried after the wanted one
END_SECONDS = 3.5
PAUSES = (1.0, 3.0, 10.0, 30.0, 60.0)  # seconds before a start after the first, second, ... end in a row
ABSENT = "not_found"
GOOD_SECONDS = 120.0  # after so long its ends are no longer in a row
# What another start of the same would only say again.
FINAL = ("bad_setting", "invalid_request", "forbidden", "conflict", "disk_full")


@dataclass
class _Run:
    """What one run of the command has said."""

    command: Command | None = None
    ready_at: float | None = None
    kept_by_another: bool = False
    code: str = ""
    error: str = ""


class ChatKeeper:
    """Keeps the page once somebody has asked for it. Methods return at once, from any thread; `close` after `seconds` at most.

    `tell` gets each change, `show` an address to open; both on threads of ours.
    """

    def __init__(
        self,
        home: Home,
        tell: Callable[[ChatPage], None],
        show: Callable[[str], None],
        *,
        port: int = 8080,
        pauses: Sequence[float] = PAUSES,
        good: float = GOOD_SECONDS,
        line: Sequence[str] = LINE,
    ) -> None:
        self._home, self._tell, self._show = home, tell, show
        self._port, self._pauses, self._good, self._line = port, tuple(pauses), good, line
        self._lock = threading.RLock()
        self._state = ChatPage()
        self._wanted = False  # somebody has asked for the page, and nothing has told us to give up
        self._to_show = False  # ... and waits for it to be shown
        self._server = ""  # address of the server, "" while none is ready
        self._run: _Run | None = None
        self._ends = 0
        self._timer: threading.Timer | None = None
        self._closing = False

    @property
    def port(self) -> int:
        """Where the page is, or will be."""
        return self._port

    def open(self) -> None:
        """Show the page, as soon as it and the server are ready."""
        with self._lock:
            self._to_show = True
            if self._run is not None and self._run.ready_at is not None:
                if self._run.kept_by_another:  # it may have gone meanwhile: its keeper's lock tells
                    self._begin()
                else:
                    self._show_it(self._state.url)
                return
            self._wanted, self._ends = True, 0
            if self._run is None:
                self._begin()

    def follow(self, address: str) -> None:
        """The server is ready at `address`; "" when it is not. A page that knows another address is started again."""
        with self._lock:
            before, self._server = self._server, address or self._server
            if not self._wanted or not address:
                return
            if self._run is None:
                self._begin()
            elif before and address != before and not self._run.kept_by_another and self._run.command is not None:
                log.info("the server has moved to %s: the chat page follows", address)
                self._ends = 0
                self._run.code = "moved"
                self._run.command.ask_to_end()

    def close(self, seconds: float = END_SECONDS) -> None:
        """End the page that we started; one that another program keeps goes on."""
        with self._lock:
            self._closing, self._wanted = True, False
            self._cancel_timer()
            command = self._run.command if self._run is not None else None
        if command is not None:
            command.end(seconds)

    def _begin(self) -> None:
        """Start the command, where a server is ready. Under the lock."""
        self._cancel_timer()
        if self._closing or not self._server:
            self._change(state="starting", error="")
            return
        run = self._run = _Run()
        self._change(state="starting", error="")
        words = ["open-webui", "--no-browser", "--json", "--until-stdin-closes", "--server", self._server, "--port", str(self._port)]
        try:
            run.command = Command(
                self._home,
                words,
                on_line=lambda said: self._said(run, said),
                on_end=lambda status: self._ended(run, status),
                line=self._line,
            )
        except OndolError as error:
            self._run, self._wanted = None, False
            self._change(state="failed", error=str(error))

    def _said(self, run: _Run, said: dict[str, Any]) -> None:
        with self._lock:
            if run is not self._run:
                return
            if reason := message(said):
                run.code = run.code or code(said)
                run.error = reason if run.code == ABSENT else brief(reason)
            elif said.get("event") == "ready":
                run.ready_at = time.monotonic()
                run.kept_by_another = bool(said.get("already"))
                url = str(said.get("url", ""))
                self._change(state="ready", url=url, error="")
                if self._to_show:
                    self._show_it(url)

    def _ended(self, run: _Run, status: int) -> None:
        with self._lock:
            if run is not self._run or self._closing:
                return
            if run.kept_by_another and status == 0:
                run.command = None  # shown; its own keeper watches it
                return
            self._run = None
            self._after(run, status)

    def _after(self, run: _Run, status: int) -> None:
        """What comes after an end."""
        error = run.error or f"`ondol open-webui` ended with status {status}."
        if run.code == "moved":
            self._begin()
        elif run.code == ABSENT:
            self._wanted = self._to_show = False
            self._change(state="absent", url="", error=error)
        elif run.code == "conflict" and (free := free_port(self._port)) is not None and free != self._port:
            log.info("port %d is in use: the chat page takes %d", self._port, free)
            self._port = free
            self._begin()
        else:
            log.warning("the chat page ended: %s", error)
            long = run.ready_at is not None and time.monotonic() - run.ready_at >= self._good
            self._ends = 1 if long else self._ends + 1
            if run.code in FINAL or self._ends > len(self._pauses):
                self._wanted = self._to_show = False
                self._change(state="failed", url="", error=error)
                return
            self._change(state="starting", error=error)
            pause = self._pauses[self._ends - 1] * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
            self._timer = threading.Timer(pause, self._again)
            self._timer.daemon = True
            self._timer.start()

    def _again(self) -> None:
        with self._lock:
            if self._wanted and self._run is None:
                self._begin()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _show_it(self, url: str) -> None:
        self._to_show = False
        self._show(url)

    def _change(self, **fields: Any) -> None:
        found = replace(self._state, **fields)
        if found != self._state and not self._closing:
            self._state = found
            self._tell(found)


def brief(reason: str) -> str:
    """Without the end of Open WebUI's log, in which people's chats may stand: this goes to our own log, and to a notification."""
    line = reason.partition("\n")[0].strip()
    return f"{line.rpartition('. ')[0]}." if line.endswith(":") else line


def free_port(wanted: int) -> int | None:
    """The wanted port where nobody has it, else the next free one; None where all near it are taken."""
    return next((port for port in range(wanted, min(wanted + NEARBY, 65536)) if ports.is_free(port, patience=1.0)), None)
