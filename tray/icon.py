"""The icon and its menu: the only file that knows pystray. Imported late, as pystray fails at import without a display."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable

import pystray
from PIL import Image, ImageDraw

from app.core.errors import OndolError
from tray.supervisor import Status, Supervisor

_COLOURS = {"ready": "#2e7d32", "external": "#2e7d32", "starting": "#f9a825", "stopped": "#616161", "failed": "#c62828"}
_LABELS = {"ready": "Running", "external": "Running", "starting": "Starting", "stopped": "Stopped", "failed": "Not running"}


def picture(status: Status, size: int = 64) -> Image.Image:
    """A disc with three warm lines; its colour tells the state."""
    image = Image.new("RGBA", (size, size))
    draw = ImageDraw.Draw(image)
    draw.ellipse((2, 2, size - 2, size - 2), fill=_COLOURS[status.state])
    for line in range(3):
        y = size * (5 + 3 * line) // 16
        draw.line((size // 4, y, size * 3 // 4, y), fill="white", width=max(2, size // 12))
    return image


def label(status: Status) -> str:
    """The first line of the menu."""
    return f"Ondol: {_LABELS[status.state]}" + (f" ({status.detail})" if status.detail else "")


def run(supervisor: Supervisor, on_end: Callable[[], None]) -> None:
    """Show the icon until Quit. OndolError where this desktop shows no tray icons with a menu."""
    if not pystray.Icon.HAS_MENU:
        raise OndolError("This desktop shows no tray menu.", hint="Install an AppIndicator library, or run `ondol serve`.")
    icon = pystray.Icon("ondol", picture(supervisor.status()), "Ondol")

    def refresh() -> None:
        status = supervisor.status()
        icon.icon, icon.title = picture(status), label(status)
        icon.update_menu()

    def toggle() -> None:
        if supervisor.status().state in ("ready", "starting"):
            supervisor.stop()
        else:
            supervisor.start()
            supervisor.wait()
        refresh()

    def end() -> None:
        on_end()
        icon.stop()

    icon.menu = pystray.Menu(
        pystray.MenuItem(lambda _: label(supervisor.status()), None, enabled=False),
        pystray.MenuItem("API documentation", lambda: webbrowser.open(f"{supervisor.status().detail}/schema")),
        pystray.MenuItem("Start or stop the server", toggle),
        pystray.MenuItem("Quit", end),
    )
    icon.run()
