"""A PDF through PDFium: its pages as shapes and as pictures. This room is the doorway: nothing else in the program imports pypdfium2."""

from __future__ import annotations

import math
from typing import Any

import pypdfium2
from pypdfium2 import raw

from app.core.errors import ItemError
from ingest.documents import tidy
from ingest.readers.pages.pdfium.drawing import Drawing
from ingest.readers.pages.pdfium.letters import segments
from ingest.readers.pages.pdfium.plane import Matrix, Turn
from ingest.readers.pages.shapes import PageShapes

DPI = 300
LARGEST_PICTURE = 40_000_000
"""Pixels of a page as a picture: a poster is made coarser, so that it does not take the memory."""


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
        """What the document's properties say; empty where they are damaged."""
        try:
            return tidy(self._pdf.get_metadata_value("Title")).strip()
        except UnicodeDecodeError:
            return ""

    def close(self) -> None:
        """Give its memory back."""
        self._pdf.close()

    def shapes(self, number: int) -> PageShapes:
        """Page `number`, counted from 1. ItemError: it is damaged."""
        page = self._page(number)
        try:
            width, height = page.get_size()
            turn = Turn(page)
            layer = page.get_textpage()
            try:
                found = tuple(segments(layer.raw, turn))
            finally:
                layer.close()
            drawing = Drawing(turn, width * height)
            drawing.take(page.raw, raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, Matrix(), 0)
            return PageShapes(
                width, height, found, tuple(drawing.lying), tuple(drawing.standing), min(drawing.pictures, 1.0), drawing.paths
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
