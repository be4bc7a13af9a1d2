"""DOCX: the text as it would be printed, with its headings, lists, tables and notes; what was struck out is left out."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.office.docx_styles import Styles
from ingest.readers.office.flow import Item, paragraph, placed, said, title_of
from ingest.readers.office.grid import Cell, cell_content, table_blocks
from ingest.readers.office.markup import Element, attribute, child, name, number
from ingest.readers.office.ooxml import Package

# Words that were deleted or moved away under "track changes", field codes, and the fallback of what was already said.
_UNSAID = frozenset(["del", "moveFrom", "delText", "instrText", "delInstrText", "Fallback", "rPr", "pPr", "sdtPr", "rt", "annotationRef"])
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
# A formula on one line: "(a+b)/2", "r^2", "x_i".
_MATH = {"num": "", "den": "/", "sup": "^", "sub": "_", "rad": "√"}
_NOTES = {"footnoteReference": "Footnote", "endnoteReference": "Endnote", "commentReference": "Comment"}


class DocxReader:
    """`.docx`, `.docm`: titled by its properties, else by a title at its beginning, else by the file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        package = Package.open(file, "docx")
        reading = _Reading(package)
        items = list(reading.items())
        title = title_of(package.title(), reading.title or file.stem)
        yield Document(file.id, title, tuple(placed(items, title)))


class _Reading:
    """One file from top to bottom."""

    def __init__(self, package: Package) -> None:
        self._package = package
        main = package.main
        self._styles = Styles(*(package.xml(part) if (part := package.linked(main, kind)) else None for kind in ("styles", "numbering")))
        self.title = ""
        self._notes = {
            (kind, attribute(note, "id")): note
            for kind, part in (("Footnote", "footnotes"), ("Endnote", "endnotes"), ("Comment", "comments"))
            for note in self._notes_of(package.linked(main, part))
        }

    def items(self) -> Iterator[Item]:
        """Headers, the body, footers: a header that stands on every page is said once."""
        yield from self._margins("header")
        yield from self._flow(child(self._package.xml(self._package.main), "body"))
        yield from self._margins("footer")

    def _notes_of(self, part: str) -> Iterator[Element]:
        if part:
            yield from (note for note in self._package.xml(part) if attribute(note, "type") not in ("separator", "continuationSeparator"))

    def _margins(self, kind: str) -> Iterator[Item]:
        seen = set()
        for link in self._package.links(self._package.main):
            if link.kind != kind:
                continue
            text, rows = cell_content(self._flow(self._package.xml(link.part)))
            for block in ([Block(text)] if text else []) + list(rows):
                # A page number alone says nothing.
                if block.text not in seen and any(letter.isalpha() for letter in block.text):
                    yield block
                seen.add(block.text)

    def _flow(self, parent: Element | None) -> Iterator[Item]:
        for element in () if parent is None else parent:
            match name(element):
                case "p":
                    yield from self._paragraph(element)
                case "tbl":
                    yield from self._table(element)
                case "sdt":
                    yield from self._flow(child(element, "sdtContent"))
                case "customXml" | "ins" | "moveTo" | "smartTag":
                    yield from self._flow(element)
                case "AlternateContent":
                    yield from self._flow(child(element, "Choice"))

    def _paragraph(self, element: Element) -> Iterator[Item]:
        look = self._styles.look(child(element, "pPr"))
        if look.contents:
            return
        words = _Words()
        words.take(element)
        text = said("".join(words.said))
        label = self._styles.label(look) if text else ""
        if look.title and not self.title:
            self.title = " ".join(text.split())
        yield from paragraph(f"{label} {text}" if label else text, look.heading, "list" if look.listed else "text")
        for box in words.boxes:
            yield from self._flow(box)
        for kind, id in words.notes:
            if (note := self._notes.get((kind, id))) is not None:
                yield from self._note(kind, note)

    def _note(self, kind: str, note: Element) -> Iterator[Item]:
        text, rows = cell_content(self._flow(note))
        author = attribute(note, "author") if kind == "Comment" else ""
        if text:
            yield Block(f"{kind} ({author}): {text}" if author else f"{kind}: {text}")
        yield from rows

    def _table(self, table: Element) -> Iterator[Item]:
        rows = [row for row in _inside(table, "tr") if child(row, "trPr", "del") is None]
        if len(rows) == 1 and len(cells := list(_inside(rows[0], "tc"))) == 1:
            # A frame around text, drawn as a table of one cell.
            yield from self._flow(cells[0])
            return
        yield from table_blocks(list(self._cells(table, rows)))

    def _cells(self, table: Element, rows: list[Element]) -> Iterator[Cell]:
        named = self._styles.names_first_row(child(table, "tblPr"))
        open_above: dict[int, Cell] = {}
        finished: list[Cell] = []
        for at, row in enumerate(rows):
            header = child(row, "trPr", "tblHeader") is not None or (named and at == 0)
            column = number(attribute(found, "val")) if (found := child(row, "trPr", "gridBefore")) is not None else 0
            for cell in _inside(row, "tc"):
                width = number(attribute(span, "val"), 1) if (span := child(cell, "tcPr", "gridSpan")) is not None else 1
                merge = child(cell, "tcPr", "vMerge")
                if merge is not None and attribute(merge, "val", "continue") == "continue" and column in open_above:
                    above = open_above[column]
                    open_above[column] = Cell(above.row, column, above.text, at - above.row + 1, above.columns, above.inner, above.named)
                else:
                    if column in open_above:
                        finished.append(open_above[column])
                    text, inner = cell_content(self._flow(cell))
                    open_above[column] = Cell(at, column, text, 1, width, inner, header)
                column += max(width, 1)
        yield from (*finished, *open_above.values())


class _Words:
    """What one paragraph says, and what hangs on it: text boxes, notes."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.boxes: list[Element] = []
        self.notes: list[tuple[str, str]] = []

    def take(self, element: Element) -> None:
        for one in element:
            kind = name(one)
            if kind == "t":
                self.said.append(one.text or "")
            elif kind in _BREAKS:
                self.said.append(_BREAKS[kind])
            elif kind in _NOTES:
                self.notes.append((_NOTES[kind], attribute(one, "id")))
            elif kind == "txbxContent":
                self.boxes.append(one)
            elif kind in _MATH:
                self._formula(kind, one)
            elif kind == "naryPr":
                sign = child(one, "chr")
                self.said.append("∫" if sign is None else attribute(sign, "val"))
            elif kind not in _UNSAID:
                self.take(one)

    def _formula(self, kind: str, part: Element) -> None:
        before = len(self.said)
        self.take(part)
        text = "".join(self.said[before:])
        self.said[before:] = [_MATH[kind], text if len(text) < 2 else f"({text})"] if text else []


def _inside(parent: Element, wanted: str) -> Iterator[Element]:
    """Rows of a table or cells of a row, also where a content control or a tracked change wraps them."""
    for one in parent:
        if name(one) == wanted:
            yield one
        elif name(one) in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"):
            yield from _inside(one, wanted)
