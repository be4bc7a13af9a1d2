"""Windows: work comes in as window messages, and the menu is built when it opens, never while it is open.

The calls of the system are handed in, so that what is decided here can be tried anywhere.
"""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Callable
from typing import Any

from tray.face.drawing import picture
from tray.face.menu import Row
from tray.records import State

log = logging.getLogger(__name__)
WM_WORK = 0x8000 + 0x0D1  # of the range that is the application's own
WM_RBUTTONUP = 0x0205
TIP, TITLE, TEXT = 127, 63, 255  # characters of the system's fields; a longer text is an error there
SIZE = 32  # pixels; the system scales it for the display


class WindowsToolkit:
    """`native` is pystray's icon; `menu` makes pystray's menu of rows; `post_message(window, message)`; `dark`: the task bar is."""

    def __init__(
        self,
        native: Any,
        menu: Callable[[tuple[Row, ...]], Any],
        post_message: Callable[[int, int], object],
        dark: Callable[[], bool | None],
    ) -> None:
        self._native, self._menu, self._post_message, self._dark = native, menu, post_message, dark
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._rows: tuple[Row, ...] | None = None
        native._message_handlers[WM_WORK] = self._work
        notify = next(code for code, handler in native._message_handlers.items() if handler == native._on_notify)
        self._on_notify = native._on_notify
        native._message_handlers[notify] = self._on_mouse

    def post(self, work: Callable[[], None]) -> None:
        """Any thread. Before there is a window, it waits for `ready`."""
        self._waiting.put(work)
        self._wake()

    def ready(self) -> None:
        """There is a window now."""
        self._wake()

    def draw(self, rows: tuple[Row, ...]) -> None:
        """Kept until somebody opens the menu. The first is made at once: a left click asks its default row."""
        if self._native.menu is None:
            self._native.menu = self._menu(rows)
        else:
            self._rows = rows

    def show(self, state: State, tip: str) -> None:
        """The picture and the tip."""
        self._native.icon = picture(state, SIZE, self._dark())
        self._native.title = tip[:TIP]

    def notify(self, title: str, text: str, state: State) -> None:  # noqa: ARG002 - the balloon has the icon's own picture
        """A balloon, which the system shows as a toast with our icon."""
        self.post(lambda: self._native.notify(_within(text, TEXT), _within(title, TITLE)))

    def _wake(self) -> None:
        if self._native._hwnd:
            self._post_message(self._native._hwnd, WM_WORK)

    def _work(self, wparam: int, lparam: int) -> int:  # noqa: ARG002 - a window procedure's arguments
        while not self._waiting.empty():
            try:
                self._waiting.get_nowait()()
            except Exception:
                log.exception("the icon could not be brought up to date")
        return 0

    def _on_mouse(self, wparam: int, lparam: int) -> Any:
        if lparam == WM_RBUTTONUP and self._rows is not None:
            # Messages go on while the menu is open, so rows that come meanwhile wait for its next opening.
            self._native.menu, self._rows = self._menu(self._rows), None
        return self._on_notify(wparam, lparam)


def escaped(label: str) -> str:
    """A label whose `&` is a letter, not the mark of a shortcut."""
    return label.replace("&", "&&")


def _within(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


if sys.platform == "win32":
    import ctypes
    import winreg

    def post_message(window: int, message: int) -> None:
        """Put a message into the queue of a window's thread; from any thread."""
        ctypes.windll.user32.PostMessageW(window, message, 0, 0)

    def dark_task_bar() -> bool | None:
        """None where the system does not say."""
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, r"Software\Microsoft\Windows\CurrentVersion\Themes\Personalize") as key:
                return not winreg.QueryValueEx(key, "SystemUsesLightTheme")[0]
        except OSError:
            return None

else:

    def post_message(window: int, message: int) -> None:
        """There are no window messages here."""
        raise OSError(f"No window {window} takes message {message} here: this is not Windows.")

    def dark_task_bar() -> bool | None:
        """There is no task bar here."""
        return None
