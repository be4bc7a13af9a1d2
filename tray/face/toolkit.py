"""What a desktop's toolkit does for the icon, and the one way in which each may be asked to: on its main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tray.face.menu import Row
from tray.records import State


class Toolkit(Protocol):
    """One desktop. `post` and `notify` are for any thread; the rest is for the main thread alone, so it is posted."""

    def post(self, work: Callable[[], None]) -> None:
        """Do `work` soon on the main thread; work posted before the loop runs waits for it."""
        ...

    def ready(self) -> None:
        """The loop runs."""
        ...

    def draw(self, rows: tuple[Row, ...]) -> None:
        """The menu shows these rows; an open menu isn't torn down under the hand."""
        ...

    def show(self, state: State, tip: str) -> None:
        """The icon looks like this state."""
        ...

    def notify(self, title: str, text: str, state: State) -> None:
        """Show a notification, with the picture of `state` where the desktop has room for it."""
        ...
