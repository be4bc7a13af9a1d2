"""The text layer of a page: letters as segments of lines."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

from pypdfium2 import raw

from app.core.errors import ItemError
from ingest.readers.pages.pdfium.plane import Turn
from ingest.readers.pages.shapes import Segment

LARGEST_PAGE = 400_000
"""Letters of one page. There is no such page but in a file that wants to hold the reader up."""
_GAP = 1.2  # of the font's size: what is wider parts cells and columns
_BOLD_WEIGHT = 600


def segments(layer: Any, turn: Turn) -> Iterator[Segment]:
    """The text layer's letters, in the order of the file, parted at wide gaps and where the line changes."""
    count = raw.FPDFText_CountChars(layer)
    if count > LARGEST_PAGE:
        raise ItemError(f"has {count} letters on one page, which is more than any page holds.")
    rect = raw.FS_RECTF()
    letter, box_of, address = raw.FPDFText_GetUnicode, raw.FPDFText_GetLooseCharBox, ctypes.byref(rect)
    waiting = _Letters(layer, turn)
    for at in range(count):
        code = letter(layer, at)
        if code in (10, 13):
            yield from waiting.taken()
            continue
        if code in (0, 0xA0, 32, 9):
            waiting.space()
            continue
        if not box_of(layer, at, address):
            continue
        box = turn.box(rect.left, rect.bottom, rect.right, rect.top)
        if waiting.breaks(at, box):
            yield from waiting.taken()
        waiting.add(at, code, box)
    yield from waiting.taken()


class _Letters:
    """The letters of the segment that is being read."""

    def __init__(self, layer: Any, turn: Turn) -> None:
        self._layer, self._turn = layer, turn
        self._clear()

    def _clear(self) -> None:
        self._codes: list[int] = []
        self._starts: list[float] = []
        self._at: list[int] = []
        self._box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        self._last = self._box
        self._upright: bool | None = None

    def space(self) -> None:
        if self._codes and self._codes[-1] != 32:
            self._codes.append(32)
            self._starts.append(self._last[2])

    def breaks(self, at: int, box: tuple[float, float, float, float]) -> bool:
        """Whether the next letter stands apart from those before it. Text that runs another way is parted by its line ends alone."""
        if not self._at:
            return False
        left, top, _, bottom = box
        tall = max(min(bottom - top, self._last[3] - self._last[1]), 0.1)
        overlap = min(bottom, self._last[3]) - max(top, self._last[1])
        apart = overlap < tall * 0.4 or not -tall < left - self._last[2] < tall * _GAP
        return apart and self._reads_upright() and self._is_upright(at)

    def add(self, at: int, code: int, box: tuple[float, float, float, float]) -> None:
        self._codes.append(code)
        self._starts.append(box[0])
        self._at.append(at)
        before = self._box if len(self._at) > 1 else box
        self._box = min(before[0], box[0]), min(before[1], box[1]), max(before[2], box[2]), max(before[3], box[3])
        self._last = box

    def taken(self) -> Iterator[Segment]:
        """The segment, where there is one."""
        if self._at:
            text, starts = _said(self._codes, self._starts)
            size, bold = self._font()
            left, top, right, bottom = self._box
            yield Segment(text, left, top, right, bottom, size, bold, starts if self._reads_upright() else ())
        self._clear()

    def _reads_upright(self) -> bool:
        if self._upright is None:
            self._upright = self._is_upright(self._at[len(self._at) // 2])
        return self._upright

    def _is_upright(self, at: int) -> bool:
        angle: float = math.degrees(raw.FPDFText_GetCharAngle(self._layer, at))
        turn: int = 90 * self._turn.quarters
        return min((angle - turn) % 360, (turn - angle) % 360) < 2

    def _font(self) -> tuple[float, bool]:
        at = self._at[len(self._at) // 2]
        size = raw.FPDFText_GetFontSize(self._layer, at)
        matrix = raw.FS_MATRIX()
        if raw.FPDFText_GetMatrix(self._layer, at, ctypes.byref(matrix)):
            size *= math.hypot(matrix.c, matrix.d)
        return round(size, 1), all(self._bold(at) for at in {self._at[0], at, self._at[-1]})

    def _bold(self, at: int) -> bool:
        name = ctypes.create_string_buffer(128)
        flags = ctypes.c_int()
        raw.FPDFText_GetFontInfo(self._layer, at, name, 128, ctypes.byref(flags))
        says = any(word in name.value.lower() for word in (b"bold", b"heavy", b"black", b"-bd"))
        return bool(says or raw.FPDFText_GetFontWeight(self._layer, at) >= _BOLD_WEIGHT)


def _said(codes: list[int], starts: list[float]) -> tuple[str, tuple[float, ...]]:
    """Letters as text, one character to each edge. PDFium marks the hyphen of a parted word as U+FFFE or U+0002."""
    text = "".join("\ufffe" if code == 2 else chr(code) if code < 0x110000 else "\ufffd" for code in codes)
    if any(0xD800 <= code < 0xE000 for code in codes):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.rstrip(), ()
    kept = text.rstrip()
    return kept, tuple(starts[: len(kept)])
