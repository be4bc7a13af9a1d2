"""`--install` on a freedesktop system, for real: files in their places, judged and started as a desktop does it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tray.installing.applications import SIZES
from tray.installing.desktop_entry import exec_words, values
from tray.installing.install import install, uninstall
from tray.installing.launch import Launch, this_one
from tray.installing.login import LoginStart
from tray.installing.places import Desktop

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is no freedesktop menu")
validate = pytest.mark.skipif(shutil.which("desktop-file-validate") is None, reason="desktop-file-validate is missing (desktop-file-utils)")
launches = pytest.mark.skipif(shutil.which("gio") is None, reason="gio is missing (libglib2.0-bin)")


@pytest.fixture
def desktop(tmp_path: Path) -> Desktop:
    home = tmp_path / "사용자 home"
    return Desktop("linux", home, {"XDG_DATA_HOME": f"{home}/데이터", "XDG_CONFIG_HOME": f"{home}/설정"})


def program(folder: Path) -> tuple[Launch, Path]:
    """Writes down the words that it was started with, at a place that needs every quoting (but a %: GLib finds no such program)."""
    path, said = folder / 'o\'n "돌" $HOME `id` \\ dir' / "program", folder / "said"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{said}.part"\nmv "{said}.part" "{said}"\n', encoding="utf-8")
    path.chmod(0o755)
    return Launch(str(path), home='/data/내 $HOME `x` 100% \\ "집" \''), said


def everything(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def test_install_writes_an_entry_and_the_icon_in_every_size(desktop: Desktop) -> None:
    done = install(Launch(sys.executable), desktop)
    assert set(done.paths) == everything(desktop.user_home)
    for size in SIZES:
        with Image.open(desktop.data / f"icons/hicolor/{size}x{size}/apps/ondol.png") as image:
            assert image.size == (size, size)
            assert image.getbbox() is not None
    entry = values((desktop.data / "applications/ondol.desktop").read_text(encoding="utf-8"))
    assert (entry["Name"], entry["Name[ko]"], entry["Icon"]) == ("Ondol", "온돌", "ondol")


def test_uninstall_leaves_no_file_of_install_headless_or_start_at_login(desktop: Desktop) -> None:
    launch = Launch(sys.executable)
    (desktop.data / "applications").mkdir(parents=True)
    other = desktop.data / "applications" / "other.desktop"
    other.touch()
    install(launch, desktop)
    install(launch, desktop, headless=True)
    login = LoginStart.for_this_system(launch, desktop)
    assert login is not None
    login.enable()
    assert len(everything(desktop.user_home)) > 10
    uninstall(launch, desktop)
    assert everything(desktop.user_home) == {other}
    assert uninstall(launch, desktop).paths == ()


def test_installing_again_after_a_move_names_the_new_place(desktop: Desktop) -> None:
    install(Launch("/old/python"), desktop)
    install(Launch("/new/python"), desktop)
    entry = values((desktop.data / "applications/ondol.desktop").read_text(encoding="utf-8"))
    assert exec_words(entry["Exec"])[0] == entry["TryExec"] == "/new/python"


@validate
def test_both_entries_are_valid_with_odd_paths(desktop: Desktop, tmp_path: Path) -> None:
    launch, _ = program(tmp_path)
    install(launch, desktop)
    login = LoginStart.for_this_system(launch, desktop)
    assert login is not None
    login.enable()
    entries = [desktop.data / "applications/ondol.desktop", desktop.config / "autostart/ondol.desktop"]
    done = subprocess.run(["desktop-file-validate", *entries], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@launches
@pytest.mark.parametrize("where", ["menu", "login"])
def test_a_desktop_starts_the_program_with_its_words_as_they_are(desktop: Desktop, tmp_path: Path, where: str) -> None:
    launch, said = program(tmp_path)
    if where == "menu":
        install(launch, desktop)
        path = desktop.data / "applications/ondol.desktop"
    else:
        login = LoginStart.for_this_system(launch, desktop)
        assert login is not None
        login.enable()
        path = desktop.config / "autostart/ondol.desktop"
    subprocess.run(["gio", "launch", path], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=30)
    end = time.monotonic() + 20
    while not said.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert said.read_text(encoding="utf-8").splitlines() == launch.line[1:]


def test_the_line_of_this_installation_finds_its_module_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "tray").mkdir()
    (tmp_path / "tray" / "__init__.py").write_text("raise SystemExit('the wrong tray')", encoding="utf-8")
    launch = this_one({"ONDOL_HOME": str(tmp_path)})
    assert launch.arguments[:2] == ("-P", "-m")
    code = "import importlib.util as u; print(u.find_spec('tray.main').origin)"
    done = subprocess.run([launch.program, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).name == "main.py"
