"""PDF through pypdfium2: the text layer, page by page. Pages that are pictures are said to need OCR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pypdfium2
from pypdfium2 import raw

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed, tidy
from ingest.readers.contract import FileContent

_HYPHEN_AT_END = re.compile("[\ufffe\x02]\\s*")
_PARAGRAPH_END = re.compile(r"[.!?。:;…]['\"”’)\]]?$|[다요음함됨]\.$")


class PdfReader:
    """`.pdf`: titled by the document's properties, else by the file's name."""

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """One document, and a failure for each page that is only a picture."""
        try:
            pdf = pypdfium2.PdfDocument(file.data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise ItemError("is protected by a password.", hint="Save a copy without one.") from None
            raise ItemError(f"is not a readable PDF: {error}.", hint="Open it in a PDF program and save it again.") from None
        try:
            yield from _read(pdf, file)
        finally:
            pdf.close()


def _read(pdf: Any, file: FileContent) -> Iterator[Document | Failed]:
    blocks: list[Block] = []
    pictures: list[int] = []
    for number in range(1, len(pdf) + 1):
        page = pdf[number - 1]
        layer = page.get_textpage()
        found = list(_paragraphs(layer.get_text_bounded(), number))
        if not found and any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)):
            pictures.append(number)
        blocks += found
        layer.close()
        page.close()
    if not blocks:
        raise ItemError("needs OCR: no text layer.", hint="Run it through an OCR program and ingest the result.")
    for number in pictures:
        yield Failed(f"{file.id}#page {number}", f"Page {number} needs OCR: it is a picture without a text layer.")
    title = tidy(pdf.get_metadata_dict().get("Title", "")).strip()
    yield Document(file.id, title or file.stem, tuple(blocks))


def _paragraphs(text: str, page: int) -> Iterator[Block]:
    """Lines joined to paragraphs: one ends at a blank line, or at a line that closes a sentence and is shorter than the page's lines."""
    lines = tidy(_HYPHEN_AT_END.sub("", text.replace("\r\n", "\n"))).split("\n")
    widest = max(map(len, lines), default=0)
    waiting: list[str] = []
    for line in [*lines, ""]:
        said = line.strip()
        if said:
            waiting.append(said)
        if waiting and (not said or (_PARAGRAPH_END.search(said) and len(said) < widest * 0.8)):
            yield Block(" ".join(waiting), page=page)
            waiting = []
