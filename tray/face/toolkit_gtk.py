"""GTK and AppIndicator: the only file that knows them. The menu is changed in place, so that a click on an open menu arrives.

pystray builds a new menu for every change, with new ids, and a notifier that blocks; this takes both out of its hands.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gio, GLib, Gtk  # noqa: E402 - the version comes first

from tray.face.drawing import SIZES, picture, write_theme  # noqa: E402
from tray.face.menu import Row  # noqa: E402
from tray.records import Action, State  # noqa: E402

log = logging.getLogger(__name__)
NOTIFICATIONS = "org.freedesktop.Notifications"
WATCHER = "org.kde.StatusNotifierWatcher"
HOST_SECONDS = 8  # a panel may start after us at login
CALL_MS = 5000
PLAIN = "applications-system"  # an icon of every theme, where ours can't be written


class NoBus(Exception):
    """There is no session bus."""


def session_bus() -> Any:
    """The session's bus; NoBus where there is none."""
    try:
        return Gio.bus_get_sync(Gio.BusType.SESSION, None)
    except GLib.Error as error:
        raise NoBus(str(error)) from error


class GtkToolkit:
    """`native` is pystray's icon of the AppIndicator or the GTK kind. `warn` takes a word of `words.py`: what is missing here."""

    def __init__(self, native: Any, act: Callable[[Action], None], warn: Callable[[str], None], pictures: Path | None) -> None:
        self._native, self._warn = native, warn
        self._menu = Menu(act)
        self._bus = session_bus()
        self._markup: bool | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._theme = self._draw_all(pictures)
        self._state, self._tip = State.STOPPED, ""
        self._take_over()

    def _take_over(self) -> None:
        native = self._native
        native._initialize = native._mark_ready  # pystray's own takes SIGINT from us, and a bus call that may hang
        native._finalize = self._end
        native._remove_fs_icon = lambda: None
        native._icon = picture(State.STOPPED, 16)  # it insists on one; the panel reads ours from their files
        native._icon_path = self._name()
        native._update_icon = self._show
        native._create_menu = lambda _: self._menu.handle
        indicator = getattr(native, "_appindicator", None)
        if indicator is None:
            native._status_icon.connect("activate", self._open)
        elif self._theme is not None:
            indicator.set_icon_theme_path(str(self._theme))

    def _open(self, icon: Any) -> None:
        """A left click in an old-style tray; a right click is pystray's."""
        self._menu.handle.popup(None, None, Gtk.StatusIcon.position_menu, icon, 0, Gtk.get_current_event_time())

    def _draw_all(self, pictures: Path | None) -> Path | None:
        try:
            if pictures is not None:
                write_theme(pictures)
                return pictures
        except OSError as error:
            log.warning("the icon's pictures can't be kept in %s: %s", pictures, error)
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix="ondol-icon-")
            write_theme(Path(self._temporary.name))
        except OSError as error:
            log.warning("the icon's pictures can't be written at all: %s", error)
            return None
        return Path(self._temporary.name)

    def post(self, work: Callable[[], None]) -> None:
        """Any thread."""

        def once() -> bool:
            try:
                work()
            except Exception:
                log.exception("the icon could not be brought up to date")
            return False

        GLib.idle_add(once)

    def ready(self) -> None:
        """Some seconds later, say whether any panel has taken the icon."""
        GLib.timeout_add_seconds(HOST_SECONDS, self._look_for_host)

    def draw(self, rows: tuple[Row, ...]) -> None:
        """Labels, marks and new rows, each in its place."""
        self._menu.draw(rows)

    def show(self, state: State, tip: str) -> None:
        """By name: the panel takes the size that it needs."""
        self._state, self._tip = state, tip
        self._show()

    def notify(self, title: str, text: str, state: State) -> None:
        """Any thread; what the service does with it comes back later, and to the log."""
        self.post(lambda: self._ask_then_notify(title, text, state))

    def _name(self) -> str:
        return f"ondol-{self._state}" if self._theme is not None else PLAIN

    def _show(self) -> None:
        native = self._native
        native._icon_path, native._title = self._name(), self._tip  # what it shows when it becomes visible
        native._icon_valid = True
        indicator = getattr(native, "_appindicator", None)
        if indicator is not None:
            indicator.set_icon_full(self._name(), self._tip)
            indicator.set_title(self._tip)
            return
        size = min((one for one in SIZES if one >= native._status_icon.get_size()), default=SIZES[-1])
        if self._theme is not None:
            native._status_icon.set_from_file(str(self._file(self._state, size)))
        else:
            native._status_icon.set_from_icon_name(PLAIN)
        native._status_icon.set_title(self._tip)
        native._status_icon.set_tooltip_text(self._tip)

    def _file(self, state: State, size: int) -> Path:
        return (self._theme or Path()) / "hicolor" / f"{size}x{size}" / "apps" / f"ondol-{state}.png"

    def _call(self, name: str, member: str, body: Any, then: Callable[[Any], None], path: str, interface: str) -> None:
        """`then` gets the answer, None where there is nobody to ask."""

        def done(bus: Any, result: Any) -> None:
            try:
                answer = bus.call_finish(result).unpack()
            except GLib.Error as error:
                log.info("%s of %s: %s", member, name, error)
                answer = None
            then(answer)

        self._bus.call(name, path, interface, member, body, None, Gio.DBusCallFlags.NONE, CALL_MS, None, done)

    def _look_for_host(self) -> bool:
        def told(answer: Any) -> None:
            old_style = getattr(self._native, "_status_icon", None)
            if (answer is None or not answer[0]) and not (old_style is not None and old_style.is_embedded()):
                self._warn("no_tray_host")

        body = GLib.Variant("(ss)", (WATCHER, "IsStatusNotifierHostRegistered"))
        self._call(WATCHER, "Get", body, told, "/StatusNotifierWatcher", "org.freedesktop.DBus.Properties")
        return False

    def _ask_then_notify(self, title: str, text: str, state: State) -> None:
        def told(answer: Any) -> None:
            self._markup = answer is not None and "body-markup" in answer[0]
            self._notify(title, text, state)

        if self._markup is None:
            self._call(NOTIFICATIONS, "GetCapabilities", None, told, "/org/freedesktop/Notifications", NOTIFICATIONS)
        else:
            self._notify(title, text, state)

    def _notify(self, title: str, text: str, state: State) -> None:
        def told(answer: Any) -> None:
            if answer is None:
                self._markup = None  # a service that comes later is asked anew
                self._warn("no_notification_daemon")
                log.info("%s: %s", title, text)

        shown = str(self._file(state, 48)) if self._theme is not None else PLAIN
        safe = escape(text, quote=False) if self._markup else text  # a name with & or < is no markup
        hints = {"desktop-entry": GLib.Variant("s", "ondol")}
        body = GLib.Variant("(susssasa{sv}i)", ("Ondol", 0, shown, title, safe, [], hints, -1))
        self._call(NOTIFICATIONS, "Notify", body, told, "/org/freedesktop/Notifications", NOTIFICATIONS)

    def _end(self) -> None:
        self._native._hide()
        context = GLib.MainContext.default()
        while context.pending():  # the hiding was posted, and the loop has ended
            context.iteration(False)
        self._bus.flush_sync(None)
        if self._temporary is not None:
            self._temporary.cleanup()


class Menu:
    """A GTK menu that follows rows: what keeps its key stays the same item, with the same id on the bus."""

    def __init__(self, act: Callable[[Action], None]) -> None:
        self._act = act
        self._items: list[_Item] = []
        self.handle = Gtk.Menu.new()

    def draw(self, rows: tuple[Row, ...]) -> None:
        """Change what differs, and nothing else."""
        kept = self._in_order(rows)
        for item in [item for item in self._items if item not in kept.values()]:
            self.handle.remove(item.widget)
            item.widget.destroy()
        self._items = []
        for place, row in enumerate(rows):
            if row.key not in kept:
                kept[row.key] = _Item(row, self._act)
                self.handle.insert(kept[row.key].widget, place)
            kept[row.key].update(row)
            self._items.append(kept[row.key])

    def _in_order(self, rows: tuple[Row, ...]) -> dict[str, _Item]:
        """The items that can stay where they are; the others are made anew, as the bus does not tell of a move."""
        places = {row.key: (place, row) for place, row in enumerate(rows)}
        kept: dict[str, _Item] = {}
        last = -1
        for item in self._items:
            place, row = places.get(item.row.key, (-1, None))
            if row is not None and place > last and _kind(row) == _kind(item.row):
                kept[row.key] = item
                last = place
        return kept


def _kind(row: Row) -> tuple[bool, bool, bool, bool]:
    """What an item can't change in place."""
    return row.separator, row.checked is not None, row.radio, bool(row.rows)


def _escaped(label: str) -> str:
    """Without mnemonics. A plain label would do at first, but the panel is handed a changed one as it stands: a_b would lose its line."""
    return label.replace("_", "__")


class _Item:
    def __init__(self, row: Row, act: Callable[[Action], None]) -> None:
        self.row, self._act = row, act
        self._inner: Menu | None = None
        if row.separator:
            self.widget = Gtk.SeparatorMenuItem.new()
        elif row.checked is not None:
            self.widget = Gtk.CheckMenuItem.new_with_mnemonic(_escaped(row.label))
            self.widget.set_draw_as_radio(row.radio)
            self.widget.set_active(row.checked)
        else:
            self.widget = Gtk.MenuItem.new_with_mnemonic(_escaped(row.label))
        self.widget.set_sensitive(row.enabled)
        if row.rows:
            self._inner = Menu(act)
            self.widget.set_submenu(self._inner.handle)
        self._signal = self.widget.connect("activate", self._clicked)
        self.widget.show()

    def update(self, row: Row) -> None:
        old, self.row = self.row, row
        if row.label != old.label:
            self.widget.set_label(_escaped(row.label))
        if row.enabled != old.enabled:
            self.widget.set_sensitive(row.enabled)
        if row.checked is not None and row.checked != old.checked:
            self._mark()
        if self._inner is not None:
            self._inner.draw(row.rows)

    def _mark(self) -> None:
        with self.widget.handler_block(self._signal):
            self.widget.set_active(bool(self.row.checked))

    def _clicked(self, _: Any) -> None:
        if self.row.checked is not None:
            self._mark()  # the mark says what is so, not what was asked for
        if self.row.action is not None and self.row.enabled:
            self._act(self.row.action)
