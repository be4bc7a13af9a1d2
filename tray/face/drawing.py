"""The icon, drawn by code for each size: a floor tile with its warm lines, and a badge for what is not as usual.

A warm floor (wavy lines on orange) answers; a cold one (flat lines on grey) does not. The badge's glyph says why, for those who
can't tell the colours. Every colour keeps a contrast of 3 to light and to dark panels, as a desktop rarely tells which one it has.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from tray.records import State

SIZES = (16, 22, 24, 32, 48, 64)  # pixels; what panels ask for, at one and two pixels a point
WARM, WARMING, COLD = "#d2530f", "#9c6f14", "#747a80"
AMBER, RED, GREY, BLUE = "#9c6f14", "#d93636", "#747a80", "#2e7cd6"
WHITE = "#ffffff"


@dataclass(frozen=True)
class Look:
    """A state's look. `glyph` "" shows no badge."""

    tile: str
    waves: bool
    badge: str = ""
    glyph: str = ""


LOOKS: dict[State, Look] = {
    State.READY: Look(WARM, True),
    State.EXTERNAL: Look(WARM, True, BLUE, "out"),
    State.STARTING: Look(WARMING, True, AMBER, "up"),
    State.SUSPECT: Look(WARM, True, AMBER, "?"),
    State.STOPPING: Look(COLD, True, GREY, "down"),
    State.BACKOFF: Look(COLD, False, AMBER, "again"),
    State.STOPPED: Look(COLD, False, GREY, "square"),
    State.FAILED: Look(COLD, False, RED, "!"),
}


def picture(state: State, size: int, dark: bool | None = None) -> Image.Image:
    """The icon of `state`, `size` pixels square, transparent around. `dark`: the panel is; None: it may be either."""
    look = LOOKS[state]
    fine = 8 if size <= 64 else 4  # drawn larger and scaled down: Pillow's shapes have no smooth edges
    image = Image.new("RGBA", (size * fine, size * fine))
    pen = _Pen(ImageDraw.Draw(image), size, fine)
    pen.tile(_shade(look.tile, dark))
    pen.lines(look.waves)
    if look.glyph:
        pen.badge(_shade(look.badge, dark), look.glyph)
    return image.resize((size, size), Image.Resampling.BOX)


def write_theme(folder: Path, name: str = "ondol") -> None:
    """Every state in every size as an icon theme, `name`-STATE, so that a panel finds the exact size.

    What is there is kept, unless another version of this file drew it. OSError where it can't be written.
    """
    drawn, edition = folder / "drawn", f"{zlib.crc32(Path(__file__).read_bytes()):08x}"
    same = drawn.is_file() and drawn.read_text(encoding="utf-8", errors="replace") == edition
    for size in SIZES:
        place = folder / "hicolor" / f"{size}x{size}" / "apps"
        place.mkdir(parents=True, exist_ok=True)
        for state in State:
            path = place / f"{name}-{state}.png"
            if not (same and path.exists()):
                half = path.with_suffix(".part")  # a kill in mid-write must not leave half a picture under the real name
                picture(state, size).save(half, "PNG")
                half.replace(path)
    if not same:
        drawn.write_text(edition, encoding="utf-8")


def _shade(colour: str, dark: bool | None) -> tuple[int, int, int]:
    """A little lighter where the panel is known to be dark, a little darker where it is light."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    if dark is None:
        return red, green, blue
    target, share = (255, 0.15) if dark else (0, 0.1)
    red, green, blue = (round(part + (target - part) * share) for part in (red, green, blue))
    return red, green, blue


class _Pen:
    """Shapes in sixteenths of the icon, snapped to its pixels where an edge would blur."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: int, fine: int) -> None:
        self._draw, self._size, self._fine = draw, size, fine
        self._unit = size * fine / 16

    def _snap(self, sixteenths: float) -> float:
        return round(sixteenths * self._size / 16) * self._fine

    def tile(self, colour: tuple[int, int, int]) -> None:
        end = self._size * self._fine - 1
        self._draw.rounded_rectangle((0, 0, end, end), self._unit * 3.5, fill=colour)

    def lines(self, waves: bool) -> None:
        """Three flues under the floor."""
        wide, pitch = max(1, round(self._size * 0.095)), round(self._size * 0.24)
        first = (self._size - 2 * pitch - wide) // 2
        for top in (first, first + pitch, first + 2 * pitch):
            if waves:
                self._wave((top + wide / 2) * self._fine, wide * self._fine, (pitch - wide) * self._fine * 0.42)
            else:  # pixel by pixel: its edges are straight
                box = (self._snap(3), top * self._fine, self._snap(13) - 1, (top + wide) * self._fine - 1)
                self._draw.rounded_rectangle(box, wide * self._fine / 2, fill=WHITE)

    def _wave(self, centre: float, wide: int, lift: float) -> None:
        steps = 64
        points = [(self._unit * (3 + 10 * step / steps), centre + lift * math.sin(2 * math.pi * step / steps)) for step in range(steps + 1)]
        self._draw.line(points, fill=WHITE, width=wide, joint="curve")
        for x, y in (points[0], points[-1]):
            _disc(self._draw, x, y, wide / 2)

    def badge(self, colour: tuple[int, int, int], glyph: str) -> None:
        """A disc in the lower right corner, cut free from the tile by a clear ring."""
        across = self._snap(9.5)
        end = self._size * self._fine
        ring = max(1, round(self._size / 20)) * self._fine
        self._draw.ellipse((end - across - ring, end - across - ring, end + ring, end + ring), fill=(0, 0, 0, 0))
        self._draw.ellipse((end - across, end - across, end - 1, end - 1), fill=colour)
        middle = end - across / 2
        _GLYPHS[glyph](self._draw, middle, across / 2)


def _shape(draw: ImageDraw.ImageDraw, middle: float, radius: float, corners: tuple[tuple[float, float], ...]) -> None:
    draw.polygon([(middle + x * radius, middle + y * radius) for x, y in corners], fill=WHITE)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=WHITE)


def _out(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    _shape(draw, middle, radius, ((-0.12, -0.58), (0.58, -0.58), (0.58, 0.12)))
    _shape(draw, middle, radius, ((0.12, -0.38), (0.38, -0.12), (-0.35, 0.61), (-0.61, 0.35)))


def _up(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    _shape(draw, middle, radius, ((0, -0.58), (0.62, 0.4), (-0.62, 0.4)))


def _down(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    _shape(draw, middle, radius, ((0, 0.58), (0.62, -0.4), (-0.62, -0.4)))


def _square(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    _shape(draw, middle, radius, ((-0.42, -0.42), (0.42, -0.42), (0.42, 0.42), (-0.42, 0.42)))


def _exclamation(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    _shape(draw, middle, radius, ((-0.2, -0.68), (0.2, -0.68), (0.14, 0.18), (-0.14, 0.18)))
    _disc(draw, middle, middle + radius * 0.5, radius * 0.2)


def _question(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    wide = round(radius * 0.28)
    top, across = middle - radius * 0.3, radius * 0.36
    draw.arc((middle - across, top - across, middle + across, top + across), 180, 90, fill=WHITE, width=wide)
    draw.line((middle, top + across - wide, middle, middle + radius * 0.28), fill=WHITE, width=wide)
    _disc(draw, middle, middle + radius * 0.56, radius * 0.18)


def _again(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    across, wide = radius * 0.55, round(radius * 0.26)
    draw.arc((middle - across, middle - across, middle + across, middle + across), 30, 300, fill=WHITE, width=wide)
    _shape(draw, middle, radius, ((0.1, -0.82), (0.72, -0.42), (0.1, -0.02)))


_GLYPHS = {
    "out": _out,
    "up": _up,
    "down": _down,
    "square": _square,
    "!": _exclamation,
    "?": _question,
    "again": _again,
}
