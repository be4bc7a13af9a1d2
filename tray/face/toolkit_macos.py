"""macOS: work is done by the main run loop in its default mode, which rests while a menu is open; so no menu changes under the hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tray.face.drawing import picture
from tray.face.menu import Row
from tray.records import State

log = logging.getLogger(__name__)


class MacToolkit:
    """`native` is pystray's icon; `menu` makes pystray's menu of rows; `perform` does work on the main thread, in the default mode."""

    def __init__(self, native: Any, menu: Callable[[tuple[Row, ...]], Any], perform: Callable[[Callable[[], None]], None]) -> None:
        self._native, self._menu, self._perform = native, menu, perform

    def post(self, work: Callable[[], None]) -> None:
        """Any thread."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                log.exception("the icon could not be brought up to date")

        self._perform(guarded)

    def ready(self) -> None:
        """The run loop keeps what was posted before it ran."""

    def draw(self, rows: tuple[Row, ...]) -> None:
        """A new menu in place of a closed one."""
        self._native.menu = self._menu(rows)

    def show(self, state: State, tip: str) -> None:
        """In the menu bar's own height, so that nothing is scaled."""
        self._native.icon = picture(state, int(self._native._status_bar.thickness()))
        self._native.title = tip

    def notify(self, title: str, text: str, state: State) -> None:  # noqa: ARG002 - the system shows no picture of ours
        """Any thread: pystray asks a child process for it. A title is needed here."""
        self._native.notify(text, title or "Ondol")


def perform_on_main(work: Callable[[], None]) -> None:
    """Do `work` when the main run loop is in its default mode."""
    from CoreFoundation import CFRunLoopGetMain, CFRunLoopPerformBlock, CFRunLoopWakeUp, kCFRunLoopDefaultMode

    CFRunLoopPerformBlock(CFRunLoopGetMain(), kCFRunLoopDefaultMode, work)
    CFRunLoopWakeUp(CFRunLoopGetMain())
