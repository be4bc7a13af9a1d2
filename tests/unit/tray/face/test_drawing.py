"""The icon's pictures: told apart without colour, seen on light and dark panels, exact in each size."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from tray.face.drawing import LOOKS, SIZES, WHITE, picture, write_theme
from tray.records import State

PANELS = {"light": "#f5f5f5", "dark": "#2b2b2b"}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def grey(state: State, size: int, panel: str) -> Image.Image:
    """As somebody sees it who sees no colours."""
    shown = Image.new("RGB", (size, size), PANELS[panel])
    drawn = picture(state, size)
    shown.paste(drawn, (0, 0), drawn)
    return shown.convert("L")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("panel", PANELS)
def test_every_colour_stands_out_from_light_and_dark_panels_and_its_glyph_from_it(state: State, panel: str) -> None:
    look = LOOKS[state]
    for colour in filter(None, (look.tile, look.badge)):
        assert contrast(colour, PANELS[panel]) >= 3
        assert contrast(colour, WHITE) >= 3


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(State, 2)))
@pytest.mark.parametrize("size", [16, 22, 64])
def test_two_states_differ_without_their_colours(one: State, other: State, size: int) -> None:
    for panel in PANELS:
        apart = ImageChops.difference(grey(one, size, panel), grey(other, size, panel))
        clearly = sum(apart.histogram()[60:])
        assert clearly >= size * size * 0.03, (panel, clearly)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("size", [*SIZES, 128, 256])
def test_a_picture_has_its_size_and_clear_corners_and_reaches_the_edges(state: State, size: int) -> None:
    drawn = picture(state, size)
    assert (drawn.size, drawn.mode) == ((size, size), "RGBA")
    assert drawn.getpixel((0, 0))[3] < 128
    assert drawn.getbbox() == (0, 0, size, size)


@pytest.mark.parametrize("size", [16, 22, 24, 32])
def test_the_lines_of_a_cold_floor_fall_on_whole_pixels(size: int) -> None:
    column = [picture(State.STOPPED, size).convert("RGB").getpixel((size // 4 + 1, y)) for y in range(size // 8, size // 2)]
    assert all(colour in ((255, 255, 255), (116, 122, 128)) for colour in column)


def test_it_is_lighter_on_a_panel_that_is_known_to_be_dark() -> None:
    mean = {dark: ImageStat.Stat(picture(State.READY, 32, dark).convert("L")).mean[0] for dark in (True, None, False)}
    assert mean[True] > mean[None] > mean[False]


def test_a_theme_holds_every_state_in_every_size_and_no_half_pictures(tmp_path: Path) -> None:
    write_theme(tmp_path / "그림")
    found = sorted(path.name for path in (tmp_path / "그림" / "hicolor" / "16x16" / "apps").iterdir())
    assert found == sorted(f"ondol-{state}.png" for state in State)
    for size in SIZES:
        with Image.open(tmp_path / "그림" / "hicolor" / f"{size}x{size}" / "apps" / "ondol-ready.png") as read:
            assert read.size == (size, size)


def test_a_theme_that_is_there_is_kept_until_the_drawing_changes(tmp_path: Path) -> None:
    write_theme(tmp_path)
    one = tmp_path / "hicolor" / "16x16" / "apps" / "ondol-ready.png"
    one.write_bytes(b"as it was")
    write_theme(tmp_path)
    assert one.read_bytes() == b"as it was"
    (tmp_path / "drawn").write_text("by an earlier version")
    write_theme(tmp_path)
    assert one.read_bytes().startswith(b"\x89PNG")


def test_a_theme_whose_writing_was_cut_off_is_completed(tmp_path: Path) -> None:
    write_theme(tmp_path)
    one = tmp_path / "hicolor" / "64x64" / "apps" / "ondol-failed.png"
    one.unlink()
    write_theme(tmp_path)
    assert one.is_file()
