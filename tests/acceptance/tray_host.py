"""A desktop without a screen: an X display in memory, a session bus of its own, and on it the panel's side of a tray icon.

`Panel` takes icons (org.kde.StatusNotifierWatcher), reads and clicks their menus (com.canonical.dbusmenu) and collects notifications
(org.freedesktop.Notifications). Debian: apt install xvfb dbus python3-gi gir1.2-gtk-3.0 gir1.2-ayatanaappindicator3-0.1
"""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_call, new_method_return, new_signal
from jeepney.bus_messages import MatchRule, message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

WATCHER, NOTIFICATIONS = "org.kde.StatusNotifierWatcher", "org.freedesktop.Notifications"
ITEM, MENU, PROPERTIES = "org.kde.StatusNotifierItem", "com.canonical.dbusmenu", "org.freedesktop.DBus.Properties"


def missing() -> str:
    """Why icons can't be tried here; "" where they can."""
    absent = [name for name in ("Xvfb", "dbus-daemon") if shutil.which(name) is None]
    from tray.face import system_gi

    if not system_gi.borrow():
        absent.append("GTK for this Python")
    else:
        import gi

        for name, version in (("Gtk", "3.0"), ("AyatanaAppIndicator3", "0.1")):
            try:
                gi.require_version(name, version)
            except ValueError:
                absent.append(name)
    packages = "apt install xvfb dbus python3-gi gir1.2-gtk-3.0 gir1.2-ayatanaappindicator3-0.1"
    return f"no {', no '.join(absent)} ({packages})" if absent else ""


@dataclass(frozen=True)
class Desktop:
    """An X display and a session bus. `environment` is for programs that are to stand on it."""

    display: str
    bus: str

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "PYSTRAY_BACKEND", "LANGUAGE")}
        ours = {
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": self.bus,
            "NO_AT_BRIDGE": "1",
            "LC_ALL": "C.UTF-8",
            "GDK_BACKEND": "x11",
        }
        return {**kept, **ours}


@contextlib.contextmanager
def desktop(screen: str = "1280x900x24") -> Iterator[Desktop]:
    """One of our own, until the block ends."""
    with display(screen) as shown, session_bus() as address:
        yield Desktop(shown, address)


@contextlib.contextmanager
def display(screen: str = "1280x900x24") -> Iterator[str]:
    """An X display in memory."""
    reads, writes = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", screen, "-nolisten", "tcp", "-wr"], pass_fds=[writes], stderr=subprocess.DEVNULL
    )
    os.close(writes)
    try:
        with os.fdopen(reads) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def session_bus() -> Iterator[str]:
    """A bus with nobody on it."""
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
    finally:
        daemon.terminate()
        daemon.wait(10)


@dataclass(frozen=True)
class Note:
    """A notification as it came."""

    title: str
    text: str
    app: str
    picture: str


@dataclass(frozen=True)
class Entry:
    """A row of a menu as a panel sees it. `kind`: "" for a plain one, "separator", "checkmark", "radio"."""

    id: int
    label: str
    enabled: bool = True
    checked: bool = False
    kind: str = ""
    entries: tuple[Entry, ...] = ()

    def find(self, *path: str) -> Entry:
        """The row at the end of `path`; each step is a label, or the beginning of one."""
        for step in path[:1]:
            for entry in self.entries:
                if entry.label.replace("__", "_").startswith(step):
                    return entry.find(*path[1:])
            raise KeyError(f"{step!r} is not among {[entry.label for entry in self.entries]}")
        return self

    def walk(self) -> Iterator[Entry]:
        """Every row below this one."""
        for entry in self.entries:
            yield entry
            yield from entry.walk()


@dataclass
class Panel:
    """The desktop's side. `takes_icons` and `takes_notes` False: a desktop without the one or the other."""

    bus: str
    takes_icons: bool = True
    takes_notes: bool = True
    markup: bool = False
    notes: list[Note] = field(default_factory=list)
    signals: collections.Counter[str] = field(default_factory=collections.Counter)
    _items: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Panel:
        self._serving, self._calling = open_dbus_connection(self.bus), open_dbus_connection(self.bus)
        self._lock = threading.Lock()
        for interface in (MENU, ITEM):
            self._serving.send_and_get_reply(message_bus.AddMatch(MatchRule(type="signal", interface=interface)))
        # The watcher last: icons call it at once, and a call that comes while a reply is waited for here would be lost.
        for name, taken in ((NOTIFICATIONS, self.takes_notes), (WATCHER, self.takes_icons)):
            if taken:
                self._serving.send_and_get_reply(message_bus.RequestName(name))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ends = False
        self._thread.start()
        if self.takes_icons:
            emitter = DBusAddress("/StatusNotifierWatcher", interface=WATCHER)
            with self._lock:
                self._calling.send(new_signal(emitter, "StatusNotifierHostRegistered"))
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._thread.join(5)
        self._serving.close()
        self._calling.close()

    def icon(self, seconds: float = 20.0) -> PanelIcon:
        """The icon that registered last."""
        self.until(lambda: bool(self._items), seconds, "no icon has registered")
        return PanelIcon(self, *self._items[-1])

    @property
    def registrations(self) -> int:
        """How often an icon has come."""
        return len(self._items)

    def until(self, so: Callable[[], Any], seconds: float = 30.0, otherwise: str = "it never came to be") -> Any:
        """Wait until it is so; what it answered. A row that is asked for and not there yet is not so."""
        end = time.monotonic() + seconds
        while not (answer := _found(so)):
            assert time.monotonic() < end, otherwise
            time.sleep(0.05)
        return answer

    def note(self, text: str, seconds: float = 30.0) -> Note:
        """A notification with `text` in it, when it has come."""
        return self.until(lambda: next((note for note in self.notes if text in note.text), None), seconds, f"no notification says {text!r}")

    def call(self, name: str, path: str, interface: str, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> Any:
        """A call's answer; RuntimeError for an error."""
        with self._lock:
            asked = new_method_call(DBusAddress(path, name, interface), member, signature or None, body)
            answer = self._calling.send_and_get_reply(asked, timeout=10)
        if answer.header.message_type == MessageType.error:
            raise RuntimeError(f"{member}: {answer.body}")
        return answer.body

    def _serve(self) -> None:
        while not self._ends:
            try:
                message = self._serving.receive(timeout=0.2)
            except TimeoutError:
                continue
            except (OSError, EOFError):
                return
            _answer(self, self._serving, message)

    def _registered(self, sender: str, path: str) -> None:
        self._items.append((sender, path))


def _answer(panel: Panel, connection: DBusConnection, message: Message) -> None:
    fields = message.header.fields
    member = fields.get(HeaderFields.member, "")
    if message.header.message_type == MessageType.signal:
        panel.signals[member] += 1
        return
    if message.header.message_type != MessageType.method_call:
        return
    host = {"IsStatusNotifierHostRegistered": ("b", True), "ProtocolVersion": ("i", 0), "RegisteredStatusNotifierItems": ("as", [])}
    if member == "RegisterStatusNotifierItem":
        panel._registered(fields[HeaderFields.sender], message.body[0])
        answer = new_method_return(message)
    elif member == "Get" and message.body[1] in host:
        answer = new_method_return(message, "v", (host[message.body[1]],))
    elif member == "GetAll":
        answer = new_method_return(message, "a{sv}", (host,))
    elif member == "Notify":
        app, _, picture, title, text = message.body[:5]
        panel.notes.append(Note(title, text, app, picture))
        answer = new_method_return(message, "u", (len(panel.notes),))
    elif member == "GetCapabilities":
        answer = new_method_return(message, "as", (["body", *(["body-markup"] if panel.markup else [])],))
    else:
        answer = new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
    connection.send(answer)


@dataclass(frozen=True)
class PanelIcon:
    """A tray icon as the panel has it."""

    panel: Panel
    sender: str
    path: str

    def __getitem__(self, name: str) -> Any:
        """A property: "Title", "IconName", "IconThemePath", "Status", "Menu"."""
        return self.panel.call(self.sender, self.path, PROPERTIES, "Get", "ss", (ITEM, name))[0][1]

    def menu(self) -> Entry:
        """The whole menu as it is now."""
        return self.layout()[1]

    def layout(self) -> tuple[int, Entry]:
        """The menu and its revision, which counts how often its shape has changed."""
        revision, root = self.panel.call(self.sender, self["Menu"], MENU, "GetLayout", "iias", (0, -1, []))
        return revision, _entry(root)

    def click(self, *path: str) -> None:
        """Click the row at the end of `path`."""
        entry = self.panel.until(lambda: self.menu().find(*path), otherwise=f"no row {path}")
        self.click_id(entry.id)

    def click_id(self, id: int) -> None:
        """Click a row that was seen before, as somebody does whose menu is open."""
        self.panel.call(self.sender, self["Menu"], MENU, "Event", "isvu", (id, "clicked", ("i", 0), 0))


def _found(so: Callable[[], Any]) -> Any:
    with contextlib.suppress(KeyError):
        return so()
    return None


def _entry(node: Any) -> Entry:
    id, properties, children = node
    values = {name: value for name, (_, value) in properties.items()}
    return Entry(
        id,
        values.get("label", ""),
        values.get("enabled", True),
        values.get("toggle-state", 0) == 1,
        values.get("toggle-type", "") or ("separator" if values.get("type") == "separator" else ""),
        tuple(_entry(child) for _, child in children),
    )
