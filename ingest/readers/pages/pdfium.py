"""The doorway to PDFium: pages as shapes and as pictures. Nothing else in this program imports pypdfium2."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import pypdfium2
from pypdfium2 import raw

from app.core.errors import ItemError
from ingest.documents import tidy
from ingest.readers.pages.shapes import PageShapes, Rule, Segment

DPI = 300
LARGEST_PICTURE = 40_000_000
"""Pixels of a page as a picture: a poster is made coarser, so that it does not take the memory."""
LARGEST_PAGE = 400_000
"""Letters of one page. There is no such page but in a file that wants to hold the reader up."""
_MOST_PARTS = 20_000  # of a drawing's lines: a map is no table
_GAP = 1.2  # of the font's size: what is wider parts cells and columns
_DEEPEST = 4
_BOLD_WEIGHT = 600


class Pdf:
    """An open PDF. ItemError: it is none, or it wants a password."""

    def __init__(self, data: bytes) -> None:
        try:
            self._pdf: Any = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise ItemError("is protected by a password.", hint="Save a copy without one.") from None
            raise ItemError(f"is not a readable PDF: {error}.", hint="Open it in a PDF program and save it again.") from None

    def __len__(self) -> int:
        return len(self._pdf)

    @property
    def title(self) -> str:
        """What the document's properties say."""
        return tidy(self._pdf.get_metadata_dict().get("Title", "")).strip()

    def close(self) -> None:
        """Give its memory back."""
        self._pdf.close()

    def shapes(self, number: int) -> PageShapes:
        """Page `number`, counted from 1. ItemError: it is damaged."""
        page = self._page(number)
        try:
            width, height = page.get_size()
            turn = _Turn(page)
            layer = page.get_textpage()
            try:
                segments = tuple(_segments(layer.raw, turn))
            finally:
                layer.close()
            drawing = _Drawing(turn, width * height)
            drawing.take(page.raw, raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, _Matrix(), 0)
            return PageShapes(
                width, height, segments, tuple(drawing.lying), tuple(drawing.standing), min(drawing.pictures, 1.0), drawing.paths
            )
        finally:
            page.close()

    def picture(self, number: int) -> bytes:
        """Page `number` in shades of grey at 300 dots an inch, as a PGM file."""
        page = self._page(number)
        try:
            width, height = page.get_size()
            scale = min(DPI / 72, math.sqrt(LARGEST_PICTURE / max(width * height, 1)))
            bitmap = page.render(scale=scale, grayscale=True)
            try:
                lines = bytes(bitmap.buffer)
                if bitmap.stride != bitmap.width:
                    lines = b"".join(lines[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
                return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + lines
            finally:
                bitmap.close()
        finally:
            page.close()

    def _page(self, number: int) -> Any:
        try:
            return self._pdf[number - 1]
        except pypdfium2.PdfiumError as error:
            raise ItemError(f"can't be read: {error}.", hint="Open the file in a PDF program and save it again.") from None


class _Turn:
    """From a page's own coordinates to those of the page as it is seen: turned by its /Rotate, downwards, from its upper left corner."""

    def __init__(self, page: Any) -> None:
        self.quarters = page.get_rotation() // 90 % 4
        self._left, self._bottom, self._right, self._top = page.get_cropbox()

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of a box."""
        (x0, y0), (x1, y1) = self.point(left, bottom), self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def point(self, x: float, y: float) -> tuple[float, float]:
        match self.quarters:
            case 1:
                return y - self._bottom, x - self._left
            case 2:
                return self._right - x, y - self._bottom
            case 3:
                return self._top - y, self._right - x
            case _:
                return x - self._left, self._top - y


def _segments(layer: Any, turn: _Turn) -> Iterator[Segment]:
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

    def __init__(self, layer: Any, turn: _Turn) -> None:
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


class _Matrix:
    """A plane's transformation, as PDF writes it."""

    def __init__(self, a: float = 1, b: float = 0, c: float = 0, d: float = 1, e: float = 0, f: float = 0) -> None:
        self.parts = a, b, c, d, e, f

    def point(self, x: float, y: float) -> tuple[float, float]:
        a, b, c, d, e, f = self.parts
        return a * x + c * y + e, b * x + d * y + f

    def within(self, outer: _Matrix) -> _Matrix:
        """First this one, then the outer."""
        a, b, c, d, e, f = self.parts
        oa, ob, oc, od, _, _ = outer.parts
        x, y = outer.point(e, f)
        return _Matrix(a * oa + b * oc, a * ob + b * od, c * oa + d * oc, c * ob + d * od, x, y)


class _Drawing:
    """What is drawn on a page: straight lines, and how much of it pictures cover."""

    def __init__(self, turn: _Turn, area: float) -> None:
        self._turn, self._area = turn, max(area, 1.0)
        self.lying: list[Rule] = []
        self.standing: list[Rule] = []
        self.pictures, self.paths, self._parts = 0.0, 0, 0

    def take(self, holder: Any, count: Any, get: Any, outer: _Matrix, depth: int) -> None:
        """All objects of a page or of a form in it."""
        for at in range(count(holder)):
            object = get(holder, at)
            kind = raw.FPDFPageObj_GetType(object)
            if kind == raw.FPDF_PAGEOBJ_PATH and self._parts < _MOST_PARTS:
                self._path(object, outer)
            elif kind == raw.FPDF_PAGEOBJ_IMAGE:
                left, top, right, bottom = self._corners([(0, 0), (1, 1), (0, 1), (1, 0)], _matrix(object).within(outer))
                self.pictures += (right - left) * (bottom - top) / self._area
            elif kind == raw.FPDF_PAGEOBJ_SHADING:
                self.paths += 1
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < _DEEPEST:
                self.take(object, raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject, _matrix(object).within(outer), depth + 1)

    def _corners(self, points: list[tuple[float, float]], matrix: _Matrix) -> tuple[float, float, float, float]:
        seen = [self._turn.point(*matrix.point(*point)) for point in points]
        return min(x for x, _ in seen), min(y for _, y in seen), max(x for x, _ in seen), max(y for _, y in seen)

    def _path(self, path: Any, outer: _Matrix) -> None:
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        raw.FPDFPath_GetDrawMode(path, ctypes.byref(fill), ctypes.byref(stroke))
        if not fill.value and not stroke.value:
            return
        self.paths += 1
        matrix = _matrix(path).within(outer)
        x, y = ctypes.c_float(), ctypes.c_float()
        begun = last = (0.0, 0.0)
        count = raw.FPDFPath_CountSegments(path)
        self._parts += count
        if self._parts > _MOST_PARTS:
            self.lying, self.standing = [], []
            return
        for at in range(count):
            part = raw.FPDFPath_GetPathSegment(path, at)
            raw.FPDFPathSegment_GetPoint(part, ctypes.byref(x), ctypes.byref(y))
            point = self._turn.point(*matrix.point(x.value, y.value))
            kind = raw.FPDFPathSegment_GetType(part)
            if kind == raw.FPDF_SEGMENT_MOVETO:
                begun = point
            elif kind == raw.FPDF_SEGMENT_LINETO:
                self._line(last, point)
            if raw.FPDFPathSegment_GetClose(part):
                self._line(point, begun)
            last = point

    def _line(self, one: tuple[float, float], other: tuple[float, float]) -> None:
        across, down = abs(one[0] - other[0]), abs(one[1] - other[1])
        if down < 1 and across > 4:
            self.lying.append(Rule((one[1] + other[1]) / 2, min(one[0], other[0]), max(one[0], other[0])))
        elif across < 1 and down > 4:
            self.standing.append(Rule((one[0] + other[0]) / 2, min(one[1], other[1]), max(one[1], other[1])))


def _matrix(object: Any) -> _Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(object, ctypes.byref(matrix)):
        return _Matrix()
    return _Matrix(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)
