"""A PDF through PDFium: its pages as shapes and as pictures. This room is the doorway: nothing else in the program imports pypdfium2."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
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
_SAVE_AGAIN = "Open it in a PDF program and save it again."


class Pdf:
    """An open PDF. ItemError: it is none, it is damaged, or it wants a password."""

    def __init__(self, data: bytes) -> None:
        self._data = data  # PDFium reads from it as long as the document is open
        handle = raw.FPDF_LoadMemDocument64(data, len(data), None)
        if not handle:
            # Only now: where a document opens, the last error is still that of some file before it.
            raise _refusal(raw.FPDF_GetLastError())
        self._pdf: Any = pypdfium2.PdfDocument(handle)
        if len(self._pdf) < 1:
            self._pdf.close()
            raise ItemError("has no pages that can be found: it is damaged.", hint=_SAVE_AGAIN)

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
        with self._page(number) as page:
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

    def picture(self, number: int) -> bytes:
        """Page `number` in shades of grey at 300 dots an inch, as a PGM file. ItemError: it is damaged."""
        with self._page(number) as page:
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

    @contextmanager
    def _page(self, number: int) -> Iterator[Any]:
        try:
            page = self._pdf[number - 1]
            try:
                yield page
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            raise ItemError("can't be read (damaged, or not there).", hint=_SAVE_AGAIN) from None


def _refusal(error: int) -> ItemError:
    """Why PDFium did not open a document, by its number."""
    if error == raw.FPDF_ERR_PASSWORD:
        return ItemError("is protected by a password.", hint="Save a copy without one.")
    if error == raw.FPDF_ERR_SECURITY:
        return ItemError("is protected in a way that Ondol can't read.", hint="Save a copy without protection.")
    return ItemError("is not a PDF, or a damaged one.", hint=_SAVE_AGAIN)
