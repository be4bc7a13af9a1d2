from __future__ import annotations

import io
import os
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import Conflict
from tray.installing.bundle import Bundle
from tray.installing.launch import Launch
from tray.installing.places import Desktop

LAUNCH = Launch("/opt/it's 온돌/python", home="/data/$HOME `x`")


def bundle(home: Path) -> Bundle:
    return Bundle(Desktop("darwin", home, {}))


def test_the_bundle_is_a_program_without_a_place_in_the_dock_named_in_both_languages(tmp_path: Path) -> None:
    assert bundle(tmp_path).add(LAUNCH, "en") == [tmp_path / "Applications" / "Ondol.app"]
    contents = tmp_path / "Applications/Ondol.app/Contents"
    told = plistlib.loads((contents / "Info.plist").read_bytes())
    assert told["LSUIElement"] is True
    assert os.access(contents / "MacOS" / told["CFBundleExecutable"], os.X_OK)
    assert (contents / "Resources" / f"{told['CFBundleIconFile']}.icns").is_file()
    assert "온돌" in (contents / "Resources/ko.lproj/InfoPlist.strings").read_text(encoding="utf-8")
    assert "Ondol" in (contents / "Resources/en.lproj/InfoPlist.strings").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /bin/sh")
def test_its_program_hands_every_word_on_as_it_is(tmp_path: Path) -> None:
    said = tmp_path / "it's 온돌"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    said.chmod(0o755)
    launch = Launch(str(said), home=LAUNCH.home)
    (app,) = bundle(tmp_path).add(launch, "en")
    done = subprocess.run([app / "Contents/MacOS/Ondol", "더 하나"], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.splitlines() == [*launch.line[1:], "더 하나"]


def test_the_icon_holds_large_and_small_sizes(tmp_path: Path) -> None:
    (app,) = bundle(tmp_path).add(LAUNCH, "en")
    with Image.open(io.BytesIO((app / "Contents/Resources/Ondol.icns").read_bytes())) as image:
        widths = {size[0] * size[2] for size in image.info["sizes"]}
    assert {32, 128, 256, 512, 1024} <= widths


def test_installing_again_replaces_it_whole(tmp_path: Path) -> None:
    (app,) = bundle(tmp_path).add(LAUNCH, "en")
    (app / "Contents" / "old").touch()
    bundle(tmp_path).add(Launch("/new/python"), "en")
    assert not (app / "Contents" / "old").exists()
    assert shlex.split((app / "Contents/MacOS/Ondol").read_text(encoding="utf-8").splitlines()[1])[1] == "/new/python"
    assert [path.name for path in app.parent.iterdir()] == ["Ondol.app"]


@pytest.mark.parametrize(
    "information", [plistlib.dumps({"CFBundleIdentifier": "com.example.other"}), b"", b"<?xml version='1.0'?><plist><dict>"]
)
def test_a_program_of_that_name_that_is_not_ours_is_neither_replaced_nor_removed(tmp_path: Path, information: bytes) -> None:
    other = tmp_path / "Applications/Ondol.app/Contents"
    other.mkdir(parents=True)
    (other / "Info.plist").write_bytes(information)
    with pytest.raises(Conflict, match="not ours"):
        bundle(tmp_path).add(LAUNCH, "en")
    with pytest.raises(Conflict, match="not ours"):
        bundle(tmp_path).remove()
    assert (other / "Info.plist").exists()


def test_remove_takes_it_away_and_a_second_time_nothing(tmp_path: Path) -> None:
    (app,) = bundle(tmp_path).add(LAUNCH, "ko")
    assert bundle(tmp_path).remove() == [app]
    assert not app.exists()
    assert bundle(tmp_path).remove() == []
