"""The icon in the panel: shows the newest snapshot, at most once a second, and passes on what is clicked. Alone knows pystray."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from app.core.errors import OndolError
from tray.face import menu, system_gi, system_language
from tray.face.toolkit import Toolkit
from tray.face.words import language, say
from tray.records import Action, ActionKind, Snapshot, State

log = logging.getLogger(__name__)
REST = 30.0  # seconds after which "5 minutes ago" is looked at again


class Unavailable(OndolError):
    """No icon with a menu can be shown here."""

    def __init__(self, reason: str, **values: str) -> None:
        super().__init__(say(reason, "en", **values), code=reason)
        self.values = values


class Icon:
    """One icon, for one life. `act` is called on the main thread at each click, so it must return at once.

    Made and run on the main thread; `show`, `notify` and `stop` are for any. Unavailable, when made, where no icon with a menu can
    be shown. `pictures` is a folder of ours for the drawn icons (else a temporary one); `warn` takes the words of `words.py` for what
    is missing here while the icon goes on: "no_tray_host", "no_notification_daemon", each at most once. `pause` in seconds, between
    two updates.
    """

    def __init__(
        self,
        act: Callable[[Action], None],
        *,
        pictures: Path | None = None,
        warn: Callable[[str], None] | None = None,
        environ: Mapping[str, str] = os.environ,
        pause: float = 1.0,
    ) -> None:
        self._act, self._environ, self._pause = act, environ, pause
        self._tell = warn or (lambda code: log.warning("%s", say(code, "en")))
        self._told: set[str] = set()
        self._native, self._toolkit = self._made(pictures)
        self._changed = threading.Condition()
        self._newest: Snapshot | None = None
        self._shown: tuple[State, str] | None = None
        self._rows: tuple[menu.Row, ...] | None = None
        self._state = State.STOPPED
        self._ended = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Show the icon until `stop`. `on_ready` is called once it is there, on a thread of its own."""
        if self._ended:
            return
        with self._changed:
            first = self._newest or Snapshot()
            self._newest = None
        self._paint(first)
        self._native.run(lambda _: self._begin(first, on_ready))

    def show(self, snapshot: Snapshot) -> None:
        """Any thread; returns at once. Of several snapshots within `pause` the last is shown."""
        with self._changed:
            self._newest = snapshot
            self._changed.notify_all()

    def notify(self, title: str, text: str) -> None:
        """Any thread. Where no service takes it, it stands in the log."""
        self._toolkit.notify(title, text, self._state)

    def stop(self) -> None:
        """Any thread, at any time: `run` returns soon, also one that hasn't begun."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._native.stop()

    def _begin(self, first: Snapshot, on_ready: Callable[[], None]) -> None:
        """On pystray's thread, which must end before the icon can."""
        self._toolkit.ready()
        self._native.visible = True
        threading.Thread(target=self._keep_painting, args=(first,), name="icon", daemon=True).start()
        threading.Thread(target=on_ready, name="icon ready", daemon=True).start()
        if self._ended:
            self._native.stop()

    def _keep_painting(self, last: Snapshot) -> None:
        while not self._ended:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._newest is not None, REST)
                last, self._newest = self._newest or last, None
            self._toolkit.post(lambda snapshot=last: self._paint(snapshot))  # type: ignore[misc]
            with self._changed:
                self._changed.wait_for(lambda: self._ended, self._pause)

    def _paint(self, snapshot: Snapshot) -> None:
        """On the main thread: what differs from the last time."""
        spoken = language(snapshot.choices.language, self._environ, system_language.tag())
        rows = menu.rows(snapshot, spoken, time.time())
        if rows != self._rows:
            self._toolkit.draw(rows)
            self._rows = rows
        shown = snapshot.server.state, menu.status(snapshot.server, spoken)
        if shown != self._shown:
            self._toolkit.show(*shown)
            self._shown, self._state = shown, shown[0]

    def _warn(self, code: str) -> None:
        if code not in self._told:
            self._told.add(code)
            self._tell(code)

    def _made(self, pictures: Path | None) -> tuple[Any, Toolkit]:
        for_system = {"win32": self._made_for_windows, "darwin": self._made_for_macos}.get(sys.platform)
        return for_system() if for_system is not None else self._made_for_linux(pictures)

    def _made_for_windows(self) -> tuple[Any, Toolkit]:
        from tray.face.toolkit_windows import WindowsToolkit, dark_task_bar, escaped, post_message

        pystray = _load()
        native = _native(pystray)
        return native, WindowsToolkit(native, lambda rows: entries(pystray, rows, self._act, escaped), post_message, dark_task_bar)

    def _made_for_macos(self) -> tuple[Any, Toolkit]:
        from tray.face.toolkit_macos import MacToolkit, perform_on_main

        pystray = _load()
        native = _native(pystray)
        return native, MacToolkit(native, lambda rows: entries(pystray, rows, self._act, str), perform_on_main)

    def _made_for_linux(self, pictures: Path | None) -> tuple[Any, Toolkit]:
        if not (self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY")):
            raise Unavailable("no_display", help="(DISPLAY, WAYLAND_DISPLAY)")
        borrowed = system_gi.borrow()
        pystray = _load()
        if not pystray.Icon.HAS_MENU or not borrowed:
            raise Unavailable("no_menu", backend=pystray.Icon.__module__.rpartition("_")[2], help=system_gi.PACKAGES)
        from tray.face.toolkit_gtk import GtkToolkit, NoBus, session_bus

        try:
            session_bus()  # before the icon: its library would wait for one
            native = _native(pystray)
            return native, GtkToolkit(native, self._act, self._warn, pictures)
        except NoBus:
            raise Unavailable("no_bus") from None


def _load() -> ModuleType:
    """pystray, which looks for a display and a toolkit as it is imported."""
    try:
        import pystray
    except ImportError as error:
        raise Unavailable(
            "no_library", help=f"{error}. {system_gi.PACKAGES if sys.platform.startswith('linux') else ''}".strip()
        ) from error
    except Exception as error:
        raise Unavailable("no_display", help=f"({error})" if str(error) else "") from error
    return pystray  # type: ignore[no-any-return]


def _native(pystray: ModuleType) -> Any:
    return pystray.Icon("ondol", title="Ondol")  # without a picture yet: pystray would put it into a file


def entries(pystray: ModuleType, rows: tuple[menu.Row, ...], act: Callable[[Action], None], escape: Callable[[str], str]) -> Any:
    """The rows as pystray's menu, for the systems whose menus are built anew. A left click on the icon opens the chat."""

    def entry(row: menu.Row) -> Any:
        if row.separator:
            return pystray.Menu.SEPARATOR
        does = entries(pystray, row.rows, act, escape) if row.rows else (lambda: act(row.action) if row.action else None)
        checked = None if row.checked is None else (lambda _: bool(row.checked))
        first = row.action is not None and row.action.kind == ActionKind.OPEN_CHAT and row.key == "chat"
        return pystray.MenuItem(escape(row.label), does, checked=checked, radio=row.radio, default=first, enabled=row.enabled)

    return pystray.Menu(*map(entry, rows))
