"""What is drawn on a page: the lines that tables are made of, and the pictures."""

from __future__ import annotations

import ctypes
from typing import Any

from pypdfium2 import raw

from ingest.readers.pages.pdfium.plane import Matrix, Turn
from ingest.readers.pages.shapes import Rule

_MOST_PARTS = 20_000  # of a drawing's lines: a map is no table
_DEEPEST = 4


class Drawing:
    """What is drawn on a page: straight lines, and how much of it pictures cover."""

    def __init__(self, turn: Turn, area: float) -> None:
        self._turn, self._area = turn, max(area, 1.0)
        self.lying: list[Rule] = []
        self.standing: list[Rule] = []
        self.pictures, self.paths, self._parts = 0.0, 0, 0

    def take(self, holder: Any, count: Any, get: Any, outer: Matrix, depth: int) -> None:
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

    def _corners(self, points: list[tuple[float, float]], matrix: Matrix) -> tuple[float, float, float, float]:
        seen = [self._turn.point(*matrix.point(*point)) for point in points]
        return min(x for x, _ in seen), min(y for _, y in seen), max(x for x, _ in seen), max(y for _, y in seen)

    def _path(self, path: Any, outer: Matrix) -> None:
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


def _matrix(object: Any) -> Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(object, ctypes.byref(matrix)):
        return Matrix()
    return Matrix(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)
