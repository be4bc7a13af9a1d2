"""The tray: watchers tell what is so, one snapshot holds it, the face shows it; a click becomes a watcher's work.

keeper, models, sync, chat page  ->  Snapshot  ->  face.show, notices
a click (Action)                 ->  tray.act  ->  a watcher, on a thread of ours
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from app.core.credentials import api_key
from app.core.errors import OndolError, foreign
from app.core.paths import Home
from tray import choices
from tray.clicks import Clicks
from tray.face import words
from tray.installing.login import LoginStart
from tray.keeping.keeper import Keeper
from tray.records import Action, ActionKind, ChatPage, Choices, Notice, Server, Snapshot, State, Sync
from tray.watching.chat_page import ChatKeeper
from tray.watching.client import Listing
from tray.watching.handover import Handover
from tray.watching.models_watch import ModelsWatch
from tray.watching.notices import Notices
from tray.watching.sync import Syncing

log = logging.getLogger(__name__)
CLOSE_SECONDS = 4.5
CHILDREN_SECONDS = 2.5  # of them, for the chat page and a sync; the rest is the server's
REACHED = (State.READY, State.EXTERNAL)
GONE = (State.STOPPED, State.STOPPING, State.BACKOFF, State.FAILED)
# Answers to what somebody has just done: shown also where notifications are off.
ANSWERS = ("no_chat_page", "chat_failed", "not_done", "other_default", "copy_yourself", "open_yourself", "saved", "about", "running")


class Face(Protocol):
    """What people see: the icon, or lines on a terminal. Methods return at once, from any thread."""

    def show(self, snapshot: Snapshot) -> None:
        """This is so now."""
        ...

    def notify(self, title: str, text: str) -> None:
        """Call somebody's attention."""
        ...


class Tray:
    """All of it over one home. `begin` starts the watchers and the server; `close` ends them, after 5 s at most.

    `act` returns at once, from any thread. `quit` is called when somebody asks for the end.
    """

    def __init__(
        self,
        home: Home,
        quit: Callable[[], None],
        *,
        language: str = "",
        system_language: str = "",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.home, self._quit, self._environ, self._system_language = home, quit, environ, system_language
        self._first_run = not (home.root / "tray.json").exists()
        chosen = choices.load(home)
        self._spoken = language  # for this run, whatever was chosen
        self._lock = threading.RLock()
        self._snapshot = Snapshot(server=Server(State.STARTING), choices=self._in_force(chosen))
        self._chosen = chosen
        self._notices = Notices()
        self._face: Face | None = None
        self._begun = self._closed = self._occupied = False
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self.handover = Handover()

    @property
    def snapshot(self) -> Snapshot:
        """All that is so now."""
        return self._snapshot

    @property
    def language(self) -> words.Language:
        """What people are spoken to in."""
        return words.language(self._snapshot.choices.language, self._environ, self._system_language)

    def begin(self, face: Face, *, icon: bool = True) -> None:
        """Show everything in `face` from now on; the first call starts the watchers and the server. `icon`: it can be clicked."""
        # Under the lock to its end: a signal may ask for the end in the middle of it, and the end needs all of them.
        with self._lock:
            self._face = face
            self._notices = Notices(first_run=self._first_run and icon)
            face.show(self._snapshot)
            if self._begun or self._closed:
                return
            self._thread("clicks", self._keep_working)
            self._thread("notices", self._keep_telling)
            self.models = ModelsWatch(lambda: api_key(self.home), self._on_models)
            self.sync = Syncing(self.home, self._on_sync)
            self.chat = ChatKeeper(self.home, self._on_chat, self._show, port=self._chosen.chat_port)
            self._clicks = Clicks(self)
            # Last: the others follow what it tells.
            self.keeper = Keeper(self.home, self._on_server)
            self.keeper.start()
            self._work.put(self._look_at_login)
            self._work.put(self._remember_run)
            self._begun = True

    def act(self, action: Action) -> None:
        """A click."""
        if action.kind == ActionKind.QUIT:
            self._quit()
            return
        if not self._begun or self._closed:
            return
        log.info("asked for: %s %s", action.kind, action.target)
        do = lambda: self._guarded(lambda: self._clicks.do(action))  # noqa: E731
        # What may take a while has a thread of its own: Stop must not wait until a model has loaded.
        if self._clicks.takes_long(action):
            self._thread(action.kind, do)
        else:
            self._work.put(do)

    def tell(self, notice: Notice) -> None:
        """Show a notification, unless they are switched off. Returns at once."""
        if notice.code in ANSWERS or self._snapshot.choices.notifications:
            self._told.put(notice)

    def second_start(self) -> None:
        """Somebody has started the tray again: they are looking for it."""
        self.tell(Notice("running"))

    def choose(self, **chosen: Any) -> None:
        """Keep a choice."""
        with self._lock:
            self._chosen = replace(self._chosen, **chosen)
            if "language" in chosen:
                self._spoken = ""
            self._update(choices=self._in_force(self._chosen))
        choices.save(self.home, self._chosen)

    def set_login_start(self, on: bool) -> None:
        """Start at login, or no more."""
        login = LoginStart.for_this_system()
        if login is not None:
            (login.enable if on else login.disable)()
            self._update(starts_at_login=login.enabled())

    def close(self) -> None:
        """End everything in order: what stands on the server first, the server last."""
        with self._lock:
            if self._closed or not self._begun:
                self._closed = True
                return
            self._closed = True
        end = time.monotonic() + CLOSE_SECONDS
        first = [
            self._thread("chat page", lambda: self.chat.close(CHILDREN_SECONDS)),
            self._thread("sync", lambda: self.sync.close(CHILDREN_SECONDS)),
            self._thread("models", self.models.close),
        ]
        for thread in first:
            thread.join(CHILDREN_SECONDS)
        self.keeper.close(max(1.0, end - time.monotonic()))
        for waiting in (self._work, self._told):
            waiting.put(None)

    def _on_server(self, server: Server) -> None:
        self._update(server=server)
        if server.state in REACHED:
            self.models.follow(server.address)
            self.chat.follow(server.address)
            self.sync.look()
        elif server.state in GONE:
            self.models.follow("")
            self.chat.follow("")

    def _on_models(self, listing: Listing, finished: tuple[str, ...]) -> None:
        with self._lock:
            self._update(models=listing.models, downloads=listing.downloads, finished=(*self._snapshot.finished, *finished))

    def _on_sync(self, sync: Sync) -> None:
        self._update(sync=sync)

    def _on_chat(self, chat: ChatPage) -> None:
        self._update(chat=chat)
        if chat.state == "absent":
            self._work.put(lambda: self._guarded(lambda: self._clicks.explain(chat.error)))
        elif chat.state == "ready":
            self._work.put(self._remember_port)

    def _show(self, url: str) -> None:
        """The chat page is ready and wanted. Not on its own thread: a browser may take seconds to begin."""
        self._work.put(lambda: None if self.handover.show(url) else self.tell(Notice("open_yourself", {"text": url})))

    def _update(self, **fields: Any) -> None:
        with self._lock:
            before, after = self._snapshot, replace(self._snapshot, **fields)
            if after == before or self._closed:
                return
            self._snapshot = after
            busy = after.sync.running or any(one.state == "downloading" for one in after.downloads)
            if self._begun and busy != self._occupied:
                self._occupied = busy
                self.keeper.occupied(busy)
            for notice in self._notices.of(before, after):
                self.tell(notice)
            if self._face is not None:
                self._face.show(after)

    def _in_force(self, chosen: Choices) -> Choices:
        return replace(chosen, language=self._spoken) if self._spoken in ("auto", "en", "ko") else chosen  # type: ignore[arg-type]

    def _look_at_login(self) -> None:
        login = LoginStart.for_this_system()
        if login is None:
            self._update(starts_at_login=None)
            return
        if login.repair():
            log.info("the start at login names this installation again")
        self._update(starts_at_login=login.enabled())

    def _remember_run(self) -> None:
        if self._first_run:
            self._keep_choices()

    def _remember_port(self) -> None:
        with self._lock:
            if self.chat.port == self._chosen.chat_port:
                return
            self._chosen = replace(self._chosen, chat_port=self.chat.port)
        self._keep_choices()

    def _keep_choices(self) -> None:
        """Nobody has clicked: where they can't be kept, the log alone says so."""
        try:
            choices.save(self.home, self._chosen)
        except OndolError as error:
            log.warning("the choices can't be kept: %s", error)

    def _keep_working(self) -> None:
        while (work := self._work.get()) is not None:
            self._guarded(work)

    def _keep_telling(self) -> None:
        while (notice := self._told.get()) is not None:
            try:
                if self._face is not None:
                    self._face.notify(*words.notice(notice, self.language))
            except Exception:  # the next one may reach somebody
                log.exception("a notification could not be shown: %s", notice.code)

    def _guarded(self, work: Callable[[], Any]) -> None:
        """What goes wrong after a click is told to who clicked."""
        try:
            work()
        except Exception as error:  # no click may end the tray
            found = foreign(error)
            log.warning("it did not work: %s", found, exc_info=None if isinstance(error, OndolError) else error)
            self.tell(Notice("not_done", {"message": str(found)}))

    def _thread(self, name: str, work: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread
