"""Start at login, on all three systems: the files are real, launchctl and the registry are handed in."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.errors import OndolError
from tray.installing.desktop_entry import exec_words, values
from tray.installing.launch import MODULE, Launch
from tray.installing.login import APPROVED, RUN, LoginStart
from tray.installing.places import Desktop
from tray.installing.registry import words

LAUNCH = Launch("/opt/온돌 dir/bin/python", home="/data/내 집")


class FakeRegistry:
    """HKEY_CURRENT_USER as a dictionary, which may be forbidden to write."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str | bytes] = {}
        self.forbidden = False

    def read(self, key: str, name: str) -> str | bytes | None:
        return self.values.get((key, name))

    def write(self, key: str, name: str, text: str) -> None:
        if self.forbidden:
            raise PermissionError(13, "Access is denied")
        self.values[key, name] = text

    def remove(self, key: str, name: str) -> None:
        self.values.pop((key, name), None)


class Launchctl:
    """Remembers what it was asked, and answers `print-disabled`."""

    def __init__(self, said: str = "", status: int = 0) -> None:
        self.said, self.status = said, status
        self.asked: list[list[str]] = []

    def __call__(self, line: Sequence[str]) -> tuple[int, str]:
        self.asked.append(list(line))
        return self.status, self.said


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture(params=["linux", "darwin", "win32", "freebsd14"])
def desktop(request: pytest.FixtureRequest, tmp_path: Path, registry: FakeRegistry) -> Desktop:
    return Desktop(request.param, tmp_path / "사용자 home", {}, Launchctl(), lambda: registry)


def start(desktop: Desktop, launch: Launch = LAUNCH) -> LoginStart:
    found = LoginStart.for_this_system(launch, desktop)
    assert found is not None
    return found


def test_it_is_off_at_first_on_after_enable_and_off_after_disable(desktop: Desktop) -> None:
    login = start(desktop)
    assert not login.enabled()
    login.enable()
    assert login.enabled()
    login.disable()
    assert not login.enabled()
    login.disable()


def test_an_entry_reads_back_to_the_command_that_was_written(desktop: Desktop) -> None:
    login = start(desktop)
    login.enable()
    assert login._read() == LAUNCH


def test_repair_does_nothing_where_it_is_off_or_right(desktop: Desktop) -> None:
    login = start(desktop)
    assert not login.repair()
    assert not login.enabled()
    login.enable()
    assert not login.repair()


def test_after_a_move_repair_lets_the_entry_start_the_new_place(desktop: Desktop) -> None:
    start(desktop, Launch("/old/place/python", home=LAUNCH.home)).enable()
    moved = start(desktop)
    assert moved.repair()
    assert moved._read() == LAUNCH
    assert not moved.repair()


def test_repair_leaves_the_entry_of_another_data_folder_alone(desktop: Desktop, tmp_path: Path) -> None:
    other = tmp_path / "other python"
    other.touch(mode=0o755)
    start(desktop, Launch(str(other), home="/data/other")).enable()
    assert not start(desktop).repair()
    assert start(desktop)._read() == Launch(str(other), home="/data/other")


def test_a_system_without_a_login_has_no_switch(tmp_path: Path) -> None:
    assert LoginStart.for_this_system(LAUNCH, Desktop("emscripten", tmp_path, {})) is None


# Linux


def linux(home: Path, **environ: str) -> Desktop:
    return Desktop("linux", home, environ, Launchctl())


def test_linux_writes_a_desktop_entry_where_the_standard_says(tmp_path: Path) -> None:
    start(linux(tmp_path)).enable()
    start(linux(tmp_path, XDG_CONFIG_HOME=f"{tmp_path}/설정")).enable()
    start(linux(tmp_path, XDG_CONFIG_HOME="relative")).enable()
    for path in (tmp_path / ".config/autostart/ondol.desktop", tmp_path / "설정/autostart/ondol.desktop"):
        entry = values(path.read_text(encoding="utf-8"))
        assert exec_words(entry["Exec"]) == [LAUNCH.program, *MODULE, "--home", LAUNCH.home]
        assert entry["Terminal"] == "false"
        assert entry["Name[ko]"] == "온돌"


@pytest.mark.parametrize("line", ["Hidden=true", "X-GNOME-Autostart-enabled=false"])
def test_linux_what_the_desktops_own_settings_switched_off_is_off_and_stays_so_until_enabled(tmp_path: Path, line: str) -> None:
    login = start(linux(tmp_path), Launch("/old/python", home=LAUNCH.home))
    login.enable()
    path = tmp_path / ".config/autostart/ondol.desktop"
    key = line.partition("=")[0]
    kept = [one for one in path.read_text(encoding="utf-8").splitlines() if not one.startswith(key)]
    path.write_text("\n".join([*kept, line]), encoding="utf-8")
    moved = start(linux(tmp_path))
    assert not moved.enabled()
    assert not moved.repair()
    assert line in path.read_text(encoding="utf-8")
    moved.enable()
    assert moved.enabled()


def test_linux_an_entry_in_another_encoding_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / ".config/autostart/ondol.desktop"
    path.parent.mkdir(parents=True)
    path.write_bytes("[Desktop Entry]\nName=온돌\nComment=비서".encode("cp949"))
    assert start(linux(tmp_path)).repair()
    assert start(linux(tmp_path))._read() == LAUNCH


def test_linux_a_folder_that_can_not_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / ".config").touch()
    with pytest.raises(OndolError):
        start(linux(tmp_path)).enable()


# macOS


def mac(home: Path, asked: Launchctl) -> Desktop:
    return Desktop("darwin", home, {}, asked)


def test_macos_writes_a_launch_agent_and_does_not_load_it_now(tmp_path: Path) -> None:
    asked = Launchctl()
    start(mac(tmp_path, asked)).enable()
    agent = plistlib.loads((tmp_path / "Library/LaunchAgents/ondol.tray.plist").read_bytes())
    assert agent["Label"] == "ondol.tray"
    assert agent["ProgramArguments"] == LAUNCH.line
    assert agent["RunAtLoad"] is True
    assert [line[1] for line in asked.asked] == ["enable"]
    assert asked.asked[0][2].endswith("/ondol.tray")


@pytest.mark.parametrize("said", ['disabled services = {\n\t"ondol.tray" => disabled\n}', '{\n\t"ondol.tray" => true\n}'])
def test_macos_what_the_systems_settings_switched_off_is_off(tmp_path: Path, said: str) -> None:
    asked = Launchctl()
    start(mac(tmp_path, asked)).enable()
    asked.said = said
    assert not start(mac(tmp_path, asked)).enabled()


@pytest.mark.parametrize("said", ['"ondol.tray" => enabled', '"ondol.tray" => false', '"ondol.tray2" => disabled', ""])
def test_macos_what_they_did_not_switch_off_is_on(tmp_path: Path, said: str) -> None:
    asked = Launchctl(said)
    start(mac(tmp_path, asked)).enable()
    assert start(mac(tmp_path, asked)).enabled()


def test_macos_without_an_answer_of_launchctl_the_file_counts(tmp_path: Path) -> None:
    asked = Launchctl('"ondol.tray" => disabled', status=125)
    start(mac(tmp_path, asked)).enable()
    assert start(mac(tmp_path, asked)).enabled()


@pytest.mark.parametrize("content", [b"", b"<plist>", b"nonsense", b"<?xml version='1.0'?><plist version='1.0'><array/></plist>"])
def test_macos_a_damaged_property_list_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Library/LaunchAgents/ondol.tray.plist"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert not start(mac(tmp_path, Launchctl())).enabled()


# Windows


def windows(home: Path, registry: FakeRegistry) -> Desktop:
    return Desktop("win32", home, {}, Launchctl(), lambda: registry)


def test_windows_writes_one_value_with_a_quoted_line(tmp_path: Path, registry: FakeRegistry) -> None:
    launch = Launch("C:\\Users\\김 철수\\Ondol\\pythonw.exe", home="D:\\내 자료")
    start(windows(tmp_path, registry), launch).enable()
    assert registry.values == {(RUN, "Ondol"): '"C:\\Users\\김 철수\\Ondol\\pythonw.exe" -P -m tray.main --home "D:\\내 자료"'}
    assert words(str(registry.values[RUN, "Ondol"])) == launch.line


def test_windows_what_task_manager_switched_off_is_off_until_enabled(tmp_path: Path, registry: FakeRegistry) -> None:
    login = start(windows(tmp_path, registry))
    login.enable()
    registry.values[APPROVED, "Ondol"] = b"\x03\x00\x00\x00" + bytes(8)
    assert not login.enabled()
    assert not login.repair()
    login.enable()
    assert login.enabled()
    registry.values[APPROVED, "Ondol"] = b"\x02" + bytes(11)
    assert login.enabled()
    login.disable()
    assert registry.values == {}


def test_windows_a_line_that_is_too_long_to_be_started_is_refused_with_what_to_do(tmp_path: Path, registry: FakeRegistry) -> None:
    with pytest.raises(OndolError, match="shorter path"):
        start(windows(tmp_path, registry), Launch("C:\\" + "길" * 250 + "\\pythonw.exe")).enable()
    assert registry.values == {}


def test_windows_a_policy_that_forbids_it_is_an_error_of_ours(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.forbidden = True
    with pytest.raises(OndolError, match="Access is denied"):
        start(windows(tmp_path, registry)).enable()
