"""Places on a page: how PDF turns and moves them."""

from __future__ import annotations

from typing import Any


class Turn:
    """From a page's own coordinates to those of the page as it is seen: turned by its /Rotate, downwards, from its upper left corner."""

    def __init__(self, page: Any) -> None:
        self.quarters = page.get_rotation() // 90 % 4
        self._left, self._bottom, self._right, self._top = page.get_cropbox()

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of a box."""
        (x0, y0), (x1, y1) = self.point(left, bottom), self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the page is seen."""
        match self.quarters:
            case 1:
                return y - self._bottom, x - self._left
            case 2:
                return self._right - x, y - self._bottom
            case 3:
                return self._top - y, self._right - x
            case _:
                return x - self._left, self._top - y


class Matrix:
    """A plane's transformation, as PDF writes it."""

    def __init__(self, a: float = 1, b: float = 0, c: float = 0, d: float = 1, e: float = 0, f: float = 0) -> None:
        self.parts = a, b, c, d, e, f

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The point, moved."""
        a, b, c, d, e, f = self.parts
        return a * x + c * y + e, b * x + d * y + f

    def within(self, outer: Matrix) -> Matrix:
        """First this one, then the outer."""
        a, b, c, d, e, f = self.parts
        oa, ob, oc, od, _, _ = outer.parts
        x, y = outer.point(e, f)
        return Matrix(a * oa + b * oc, a * ob + b * od, c * oa + d * oc, c * ob + d * od, x, y)
