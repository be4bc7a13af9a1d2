"""PDFs that the tests make, by PDFium itself: text where it is wanted, lines, pictures, turned pages."""

from __future__ import annotations

import ctypes
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pypdfium2
from pypdfium2 import raw

WIDTH, HEIGHT = 600, 800


@dataclass
class Paper:
    """One page. Places are points from the upper left corner."""

    texts: list[tuple[float, float, str, float, str]] = field(default_factory=list)
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)
    picture: bytes = b""
    turned: int = 0

    def write(self, x: float, y: float, text: str, size: float = 12, font: str = "Helvetica") -> Paper:
        self.texts.append((x, y, text, size, font))
        return self

    def lines(self, x: float, y: float, texts: Sequence[str], size: float = 12, step: float = 16) -> Paper:
        for at, text in enumerate(texts):
            self.write(x, y + at * step, text, size)
        return self

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> Paper:
        self.rules.append((x0, y0, x1, y1))
        return self

    def grid(self, xs: Sequence[float], ys: Sequence[float]) -> Paper:
        for y in ys:
            self.rule(xs[0], y, xs[-1], y)
        for x in xs:
            self.rule(x, ys[0], x, ys[-1])
        return self


def pdf(papers: Sequence[Paper], title: str = "") -> bytes:
    """The bytes of a PDF with these pages. `picture` is any picture that Pillow reads; b"black" a black square."""
    made = pypdfium2.PdfDocument.new()
    for paper in papers:
        page = made.new_page(WIDTH, HEIGHT)
        for x, y, text, size, font in paper.texts:
            letters = raw.FPDFPageObj_NewTextObj(made, font.encode(), size)
            wide = (text + "\0").encode("utf-16-le")
            raw.FPDFText_SetText(letters, ctypes.cast(ctypes.create_string_buffer(wide), raw.FPDF_WIDESTRING))
            raw.FPDFPageObj_Transform(letters, *_upright(x, y, paper.turned))
            raw.FPDFPage_InsertObject(page, letters)
        for x0, y0, x1, y1 in paper.rules:
            path = raw.FPDFPageObj_CreateNewPath(x0, HEIGHT - y0)
            raw.FPDFPath_LineTo(path, x1, HEIGHT - y1)
            raw.FPDFPath_SetDrawMode(path, 0, 1)
            raw.FPDFPage_InsertObject(page, path)
        if paper.picture:
            page.insert_obj(_picture(made, paper.picture))
        if paper.turned:
            page.set_rotation(paper.turned)
        page.gen_content()
    buffer = io.BytesIO()
    made.save(buffer)
    return _titled(buffer.getvalue(), title) if title else buffer.getvalue()


def _upright(x: float, y: float, turned: int) -> tuple[float, float, float, float, float, float]:
    """The matrix that puts letters there upright on the page as it is seen, as programs write papers that lie on their side."""
    return {
        0: (1, 0, 0, 1, x, HEIGHT - y),
        90: (0, 1, -1, 0, y, x),
        180: (-1, 0, 0, -1, WIDTH - x, y),
        270: (0, -1, 1, 0, WIDTH - y, HEIGHT - x),
    }[turned]


def _picture(made: Any, data: bytes) -> Any:
    picture = pypdfium2.PdfImage.new(made)
    if data == b"black":
        picture.set_bitmap(pypdfium2.PdfBitmap.new_native(40, 40, raw.FPDFBitmap_BGR))
    else:
        from PIL import Image

        picture.set_bitmap(pypdfium2.PdfBitmap.from_pil(Image.open(io.BytesIO(data)).convert("RGB")))
    picture.set_matrix(pypdfium2.PdfMatrix().scale(WIDTH, HEIGHT))
    return picture


def _titled(data: bytes, title: str) -> bytes:
    """The same with a title among its properties, as an update at the file's end."""
    start = int(data.rstrip().rsplit(b"\n", 2)[-2])
    size = int(re.findall(rb"/Size (\d+)", data)[-1])
    root = re.findall(rb"/Root (\d+ 0 R)", data)[-1].decode()
    at = len(data) + 1
    body = f"\n{size} 0 obj\n<</Title <FEFF{title.encode('utf-16-be', 'surrogatepass').hex()}>>>\nendobj\n"
    place = at + len(body) - 1
    trailer = f"<</Size {size + 1}/Root {root}/Info {size} 0 R/Prev {start}>>"
    tail = f"xref\n{size} 1\n{at:010d} 00000 n \ntrailer\n{trailer}\nstartxref\n{place}\n%%EOF\n"
    return data + (body + tail).encode()
