"""Windows' and macOS' ways with the icon, their system calls handed in; and what they need of the system around."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tray.face import menu, system_gi
from tray.face.system_language import from_macos, from_windows
from tray.face.toolkit_macos import MacToolkit
from tray.face.toolkit_windows import WM_RBUTTONUP, WM_WORK, WindowsToolkit, escaped
from tray.records import Model, Server, Snapshot, State

WM_NOTIFY = 0x0400 + 11
ROWS = menu.rows(Snapshot(server=Server(State.READY), models=(Model("a", "R&D model", "loaded", default=True),)), "en", 0.0)
ROOT = Path(__file__).parents[4]


class WindowsNative:
    """The part of pystray's Windows icon that is used, and what Windows would do with it."""

    def __init__(self) -> None:
        self._hwnd = 0
        self._message_handlers: dict[int, Callable[[int, int], Any]] = {WM_NOTIFY: self._on_notify}
        self.menu: Any = None
        self.icon: Any = None
        self.title = ""
        self.opened: list[Any] = []
        self.balloons: list[tuple[str, str]] = []
        self.while_open: Callable[[], None] = lambda: None

    def _on_notify(self, wparam: int, lparam: int) -> int:
        if lparam == WM_RBUTTONUP:
            self.opened.append(self.menu)
            self.while_open()
        return 7

    def notify(self, text: str, title: str) -> None:
        self.balloons.append((title, text))


class Windows:
    def __init__(self) -> None:
        self.native = WindowsNative()
        self.messages: list[tuple[int, int]] = []
        self.toolkit = WindowsToolkit(
            self.native, lambda rows: ("menu", rows), lambda *message: self.messages.append(message), lambda: True
        )

    def pump(self) -> None:
        """As the window's thread does."""
        while self.messages:
            _, code = self.messages.pop(0)
            self.native._message_handlers[code](0, 0)

    def right_click(self) -> int:
        return int(self.native._message_handlers[WM_NOTIFY](0, WM_RBUTTONUP))


@pytest.fixture
def windows() -> Windows:
    return Windows()


def test_work_posted_before_there_is_a_window_is_done_when_there_is_one(windows: Windows) -> None:
    done: list[int] = []
    windows.toolkit.post(lambda: done.append(1))
    windows.pump()
    assert (done, windows.messages) == ([], [])
    windows.native._hwnd = 42
    windows.toolkit.ready()
    assert windows.messages == [(42, WM_WORK)]
    windows.pump()
    assert done == [1]


def test_work_that_fails_does_not_keep_the_next_from_being_done(windows: Windows) -> None:
    windows.native._hwnd = 42
    done: list[int] = []
    windows.toolkit.post(lambda: done.append(1 // 0))
    windows.toolkit.post(lambda: done.append(2))
    windows.pump()
    assert done == [2]


def test_the_menu_is_the_newest_one_when_it_opens(windows: Windows) -> None:
    windows.toolkit.draw(())
    windows.toolkit.draw(ROWS)
    assert windows.native.menu == ("menu", ())
    assert windows.right_click() == 7
    assert windows.native.opened == [("menu", ROWS)]


def test_an_open_menu_stays_as_it_is_and_the_next_opening_shows_what_came_meanwhile(windows: Windows) -> None:
    windows.toolkit.draw(())
    windows.toolkit.draw(ROWS)
    later = ROWS[:2]
    windows.native.while_open = lambda: windows.toolkit.draw(later)
    windows.right_click()
    assert windows.native.menu == ("menu", ROWS)
    windows.right_click()
    assert windows.native.opened == [("menu", ROWS), ("menu", later)]


def test_a_tip_and_a_balloon_fit_the_fields_of_windows(windows: Windows) -> None:
    windows.native._hwnd = 42
    windows.toolkit.show(State.FAILED, "t" * 500)
    windows.toolkit.notify("T" * 500, "x" * 500, State.FAILED)
    windows.pump()
    [(title, text)] = windows.native.balloons
    assert (len(windows.native.title), len(title), len(text)) == (127, 63, 255)
    assert windows.native.icon.size == (32, 32)


def test_an_ampersand_in_a_name_is_no_shortcut_on_windows() -> None:
    assert escaped("R&D && more") == "R&&D &&&& more"


class MacNative:
    """The part of pystray's macOS icon that is used."""

    class Bar:
        def thickness(self) -> float:
            return 24.0

    def __init__(self) -> None:
        self._status_bar = self.Bar()
        self.menu: Any = None
        self.icon: Any = None
        self.title = ""
        self.notes: list[tuple[str, str]] = []

    def notify(self, text: str, title: str) -> None:
        self.notes.append((title, text))


def test_on_macos_work_waits_for_the_main_loop_and_a_failure_of_it_ends_nothing() -> None:
    performed: list[Callable[[], None]] = []
    native = MacNative()
    toolkit = MacToolkit(native, lambda rows: ("menu", rows), performed.append)
    toolkit.post(lambda: toolkit.draw(ROWS))
    toolkit.post(lambda: native.notes.append(1 // 0))  # type: ignore[arg-type]
    assert native.menu is None
    for work in performed:
        work()
    assert native.menu == ("menu", ROWS)


def test_on_macos_the_picture_has_the_menu_bars_height_and_a_notification_a_title() -> None:
    native = MacNative()
    toolkit = MacToolkit(native, lambda rows: rows, lambda work: work())
    toolkit.show(State.READY, "Ondol is ready")
    toolkit.notify("", "text", State.READY)
    assert native.icon.size == (24, 24)
    assert native.notes == [("Ondol", "text")]


def test_rows_become_a_menu_of_pystrays_with_the_chat_as_its_left_click() -> None:
    program = """
import pystray
from tray.face.icon import entries
from tray.face.menu import rows
from tray.records import *
from tray.face.toolkit_windows import escaped
clicked = []
snapshot = Snapshot(server=Server(State.READY), models=(Model("a", "R&D", "loaded", default=True), Model("b", "B")))
found = entries(pystray, rows(snapshot, "en", 0.0), clicked.append, escaped)
items = {item.text: item for item in found.items if item is not pystray.Menu.SEPARATOR}
models = items["Models"].submenu.items
assert [(item.text, item.checked, item.radio) for item in models[:2]] == [("R&&D (in memory)", True, True), ("B", False, True)]
assert not items["Ondol is ready"].enabled
assert [text for text, item in items.items() if item.default] == ["Open chat"]
models[1](None)
found(None)
assert clicked == [Action(ActionKind.USE_MODEL, "b"), Action(ActionKind.OPEN_CHAT)]
"""
    environment = {"PYSTRAY_BACKEND": "dummy", "PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


@pytest.mark.parametrize(("number", "tag"), [(0x0412, "ko"), (0x0409, "en"), (0x0812, "ko")])
def test_windows_tells_korean_by_a_number(number: int, tag: str) -> None:
    assert from_windows(lambda: number) == tag


@pytest.mark.parametrize(
    ("said", "tag"),
    [('(\n    "ko-KR",\n    "en-US"\n)\n', "ko-KR"), ('(\n    "en-GB"\n)\n', "en-GB"), ("(\n)\n", ""), ("", "")],
)
def test_macos_tells_its_languages_as_a_list(said: str, tag: str) -> None:
    assert from_macos(lambda: said) == tag


def test_a_macos_that_does_not_answer_leaves_the_language_open() -> None:
    def silent() -> str:
        raise subprocess.TimeoutExpired("defaults", 2)

    assert from_macos(silent) == ""


BORROW = """
import sys
from pathlib import Path
from tray.face import system_gi
print(system_gi.borrow([Path(sys.argv[1])]), "gi" in sys.modules, [name for name in ("apt", "numpy") if name in sys.modules])
"""


def borrowed(place: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-S", "-c", BORROW, str(place)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_gi_of_another_python_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "gi").mkdir()
    (tmp_path / "gi" / "__init__.py").write_text("raise RuntimeError('not to be run')")
    (tmp_path / "gi" / "_gi.cpython-27-x86_64-linux-gnu.so").write_bytes(b"")
    assert borrowed(tmp_path) == "False False []"


def test_a_broken_gi_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "gi").mkdir()
    (tmp_path / "gi" / "__init__.py").write_text("from gi import _gi")
    (tmp_path / "gi" / f"_gi{system_gi.EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")
    assert borrowed(tmp_path) == "False False []"


def test_a_gi_for_this_python_is_taken(tmp_path: Path) -> None:
    (tmp_path / "gi").mkdir()
    (tmp_path / "gi" / "__init__.py").write_text("from gi import part")
    (tmp_path / "gi" / "part.py").write_text("")
    (tmp_path / "gi" / f"_gi{system_gi.EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    assert borrowed(tmp_path) == "True True []"
