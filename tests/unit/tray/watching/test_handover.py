"""What is handed to other programs of the desktop: the choice of program, and real small programs in its place."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from pathlib import Path

import pytest

from tray.watching.handover import Handover, copiers

SCREEN = {"DISPLAY": ":9"}


def nowhere(name: str) -> str | None:
    return None


def anywhere(name: str) -> str | None:
    return f"/bin/{name}"


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("system", "environ", "names"),
    [
        ("linux", {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, ["wl-copy", "xclip", "xsel"]),
        ("linux", {"DISPLAY": ":0"}, ["xclip", "xsel"]),
        ("linux", {}, []),
        ("darwin", {}, ["pbcopy"]),
        ("win32", {}, ["clip.exe"]),
    ],
)
def test_each_system_has_its_programs_for_the_clipboard(system: str, environ: dict[str, str], names: list[str]) -> None:
    assert [line[0] for line in copiers(system, environ)] == names


@pytest.mark.skipif(sys.platform == "win32", reason="programs are scripts here")
def test_a_text_is_copied_through_a_pipe_by_the_first_program_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program(tmp_path, "xclip", "raise SystemExit(1)")
    program(tmp_path, "xsel", f"import sys; open({str(tmp_path / 'got')!r}, 'w').write(sys.stdin.read() + '|' + ' '.join(sys.argv[1:]))")
    assert Handover("linux", SCREEN).copy("sk-ondol-열쇠")
    text, _, words = (tmp_path / "got").read_text().partition("|")
    assert text == "sk-ondol-열쇠"
    assert "sk-" not in words


def test_where_no_clipboard_is_nothing_is_copied_and_that_is_said() -> None:
    assert not Handover("linux", SCREEN, which=nowhere).copy("x")
    assert not Handover("linux", {}, which=anywhere).copy("x")


def test_a_page_is_opened_only_where_a_browser_can_show_itself() -> None:
    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        return True

    assert not Handover("linux", {}, browse=browse).show("http://127.0.0.1:8080")
    assert opened == []
    for system, environ in (("linux", SCREEN), ("linux", {"BROWSER": "x"}), ("darwin", {}), ("win32", {})):
        assert Handover(system, environ, browse=browse).show("http://127.0.0.1:8080")
    assert len(opened) == 4


def test_a_browser_that_can_not_be_started_is_said() -> None:
    def broken(url: str) -> bool:
        raise webbrowser.Error("no browser")

    assert not Handover("linux", SCREEN, browse=broken).show("http://127.0.0.1:8080")


@pytest.mark.skipif(sys.platform == "win32", reason="programs are scripts here")
def test_a_folder_is_opened_without_waiting_for_the_file_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    script = f"import sys, time; open({str(tmp_path / 'got')!r}, 'w').write(sys.argv[1]); time.sleep(1)"
    program(tmp_path, "xdg-open", script)
    program(tmp_path, "open", script)
    for system, environ in (("linux", SCREEN), ("darwin", {})):
        (tmp_path / "got").unlink(missing_ok=True)
        assert Handover(system, environ).open(tmp_path / "기록 logs")
        while not (tmp_path / "got").exists() or not (tmp_path / "got").read_text():
            time.sleep(0.02)
        assert (tmp_path / "got").read_text() == str(tmp_path / "기록 logs")


def test_where_no_file_manager_is_that_is_said() -> None:
    assert not Handover("linux", SCREEN, which=nowhere).open(Path("/"))
    assert not Handover("linux", {}, which=anywhere).open(Path("/"))
