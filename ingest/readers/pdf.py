"""PDF: headings, paragraphs over columns, lists and tables of the text layer; pages that are pictures through OCR."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers import ocr
from ingest.readers.contract import FileContent
from ingest.readers.headings import Headings
from ingest.readers.ocr import Tesseract, Word
from ingest.readers.pages.grid import tables
from ingest.readers.pages.order import Item, in_order
from ingest.readers.pages.outline import blocks
from ingest.readers.pages.pdfium.document import DPI, Pdf
from ingest.readers.pages.recognised import page_words
from ingest.readers.pages.running import without_running
from ingest.readers.pages.scanned import broken, lines, needs_ocr
from ingest.readers.pages.shapes import PageShapes

_OCR_SHARE = 0.8
"""Of the seconds that a file may take: what is read by then is kept, the pages after it are said to be missing."""
_NO_TITLE = re.compile(r"(?i)(?:untitled|제목 ?없음|(?:document|문서) ?\d*|powerpoint .*|.*\.\w{2,5}|(?:슬라이드|slide) ?\d+)")
_PROGRAM = re.compile(r"(?i)^Microsoft (?:Word|PowerPoint|Excel) - ")


class PdfReader:
    """`.pdf`: titled by the document's properties, else by its first and largest heading, else by the file's name.

    `recogniser` finds the program that reads pictures; it raises ItemError where there is none.
    """

    def __init__(self, recogniser: Callable[[], Tesseract] = ocr.find) -> None:
        self._recogniser = recogniser

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """One document, and a failure for each page that is only a picture and can't be recognised."""
        began = time.monotonic()
        pdf = Pdf(file.data)
        try:
            if len(pdf) > file.limits.pages:
                raise ItemError(
                    f"has {len(pdf)} pages, more than {file.limits.pages}.",
                    hint="Split it, or raise ingest.max_pages in the configuration.",
                )
            pages, pictures, failures = _text_layer(pdf)
            if pictures:
                failures += self._recognise(pdf, pages, pictures, began + file.limits.seconds * _OCR_SHARE)
            title = _title(pdf.title)
        finally:
            pdf.close()
        if not any(page.items for page in pages.values()):
            if failures:
                raise ItemError(str(failures[0][1]))
            raise ItemError("has no text: its pages are empty, or pictures without any writing.")
        yield from _told(file, failures)
        kept = without_running([(page.height, page.items) for page in pages.values()])
        headings = Headings(title)
        found = tuple(blocks(list(zip(pages, kept, strict=True)), headings))
        yield Document(file.id, headings.title or file.stem, found)

    def _recognise(self, pdf: Pdf, pages: dict[int, _Page], numbers: list[int], until: float) -> list[tuple[int, str]]:
        """Put the text of pictures into their pages; what could not be read. PDFium draws in this thread, Tesseract reads beside it."""
        try:
            tesseract = self._recogniser()
        except ItemError as error:
            return [(number, str(error)) for number in numbers]
        failures: list[tuple[int, str]] = []
        waiting: deque[tuple[int, Future[list[Word]]]] = deque()
        at_once = max(1, min(os.cpu_count() or 1, 4))

        def take() -> None:
            number, future = waiting.popleft()
            try:
                pages[number].items = lines(future.result(), 72 / DPI) or pages[number].items
            except ItemError as error:
                failures.append((number, str(error)))

        with ThreadPoolExecutor(at_once) as pool:
            for number in numbers:
                if time.monotonic() > until:
                    failures.append((number, "was not read: OCR of the whole file takes longer than ingest.read_seconds. Raise it."))
                    continue
                try:
                    waiting.append((number, pool.submit(page_words, tesseract, pdf.picture(number))))
                except ItemError as error:
                    failures.append((number, str(error)))
                if len(waiting) > at_once:
                    take()
            while waiting:
                take()
        return failures


@dataclass
class _Page:
    """A page's height in points, and what is read of it so far."""

    height: float
    items: list[Item]


def _text_layer(pdf: Pdf) -> tuple[dict[int, _Page], list[int], list[tuple[int, str]]]:
    """The pages by number, those that need OCR, and those that are damaged."""
    pages: dict[int, _Page] = {}
    pictures: list[int] = []
    failures: list[tuple[int, str]] = []
    for number in range(1, len(pdf) + 1):
        try:
            shapes = pdf.shapes(number)
        except ItemError as error:
            failures.append((number, str(error)))
            continue
        pages[number] = _Page(shapes.height, _items(shapes))
        if needs_ocr(shapes):
            pictures.append(number)
    return pages, pictures, failures


def _items(shapes: PageShapes) -> list[Item]:
    if broken("".join(segment.text for segment in shapes.segments)) > 0.3:
        return []
    found, rest = tables(shapes.segments, shapes.lying, shapes.standing)
    return in_order(rest, found)


def _told(file: FileContent, failures: list[tuple[int, str]]) -> Iterator[Failed]:
    """A failure for each stretch of pages that can't be read for the same reason: a hundred scans are one thing to do."""
    begin = 0
    failures = sorted(failures, key=lambda failure: failure[0])
    for at, (number, reason) in enumerate(failures):
        if at + 1 < len(failures) and failures[at + 1] == (number + 1, reason):
            continue
        first = failures[begin][0]
        pages, told = (f"page {number}", f"Page {number}") if first == number else (f"pages {first}-{number}", f"Pages {first} to {number}")
        yield Failed(f"{file.id}#{pages}", f"{told}: {reason}")
        begin = at + 1


def _title(said: str) -> str:
    """The properties' title, unless a program made it up."""
    said = " ".join(_PROGRAM.sub("", said).split())
    return "" if _NO_TITLE.fullmatch(said) else said
