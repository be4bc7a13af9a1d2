"""HWP 5, the format of Hancom Office: paragraphs with their controls (tables, notes, boxes) in reading order."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.office.flow import Item, paragraph, placed, title_of
from ingest.readers.office.grid import Cell, cell_content, table_blocks
from ingest.readers.office.hangul import spelled
from ingest.readers.office.hwp_file import HwpFile, Record
from ingest.readers.office.hwp_styles import Styles
from ingest.readers.office.hwpx import HwpxReader

HEADER, TEXT, CONTROL, LIST, TABLE, EQUATION = 66, 67, 71, 72, 77, 88

_LETTERS = {10: "\n", 13: "\n", 24: "-", 30: " ", 31: " "}
_TAB = 9
# The other codes below 32 stand at both ends of eight units; of these, the ones below have no record of their own.
_WITHOUT_RECORD = frozenset([4, 5, 6, 7, 8, 9, 19, 20])
_NOTES = {"fn  ": "Footnote", "en  ": "Endnote", "tcmt": "Comment"}
_MARGINS = ("head", "foot", "secd")
_OUTLINE_AT = 18
_IS_HEADER = 1 << 18


class HwpReader:
    """`.hwp`: titled by its summary, else by a title at its beginning, else by the file's name. Reads a HWPX of that name too."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        if file.data.startswith(b"PK"):
            yield from HwpxReader().read(file)
            return
        hwp = HwpFile(file)
        reading = _Reading(Styles(hwp.styles()))
        items = [item for section in hwp.sections() for item in reading.flow(section.inside)]
        title = title_of(spelled(hwp.title), reading.title or file.stem)
        yield Document(file.id, title, tuple(placed(items, title)))


@dataclass
class _Words:
    """What one paragraph says, and the controls that hang on it."""

    said: list[str] = field(default_factory=list)
    hanging: list[Record] = field(default_factory=list)


class _Reading:
    """One document from top to bottom."""

    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._margins: set[str] = set()
        self.title = ""

    def flow(self, records: Iterable[Record]) -> Iterator[Item]:
        """The paragraphs among these records, with all that hangs on each."""
        for record in records:
            if record.tag == HEADER:
                yield from self._paragraph(record)

    def _paragraph(self, record: Record) -> Iterator[Item]:
        words = _words(record)
        shape, style = struct.unpack_from("<HB", record.data, 8) if len(record.data) >= 11 else (0, 0)
        for control in words.hanging:
            if _id(control) == "secd" and len(control.data) >= _OUTLINE_AT + 2:
                self._styles.begin_section(struct.unpack_from("<H", control.data, _OUTLINE_AT)[0])
        look = self._styles.look(shape, style)
        text = "" if look.contents else spelled("".join(words.said)).strip()
        label = self._styles.label(look) if text else ""
        if look.title and not self.title:
            self.title = " ".join(text.split())
        yield from paragraph(f"{label} {text}".strip() if text else "", look.heading, "list" if look.listed else "text")
        for control in words.hanging:
            yield from self._control(control)

    def _control(self, control: Record) -> Iterator[Item]:
        id = _id(control)
        if id == "tbl ":
            yield from self._table(control)
        elif id in _NOTES:
            text, rows = cell_content(self._inner(control))
            if text:
                yield Block(f"{_NOTES[id]}: {text}")
            yield from rows
        elif id in _MARGINS:
            yield from self._margin(control)
        else:
            yield from self._inner(control)

    def _margin(self, control: Record) -> Iterator[Item]:
        """A header or footer: said once, and not where it is a page number alone."""
        text, rows = cell_content(self._inner(control))
        for block in ([Block(text)] if text else []) + list(rows):
            if block.text not in self._margins and any(letter.isalpha() for letter in block.text):
                yield block
            self._margins.add(block.text)

    def _inner(self, record: Record) -> Iterator[Item]:
        """The paragraphs of boxes, captions and notes, however deep the drawing holds them."""
        for one in record.inside:
            if one.tag == HEADER:
                yield from self._paragraph(one)
            elif one.tag != CONTROL:
                yield from self._inner(one)
            else:
                yield from self._control(one)

    def _table(self, control: Record) -> Iterator[Item]:
        begin = next((at for at, one in enumerate(control.inside) if one.tag == TABLE), len(control.inside))
        yield from self._inner(Record(0, b"", control.inside[:begin]))
        parts: list[tuple[bytes, list[Record]]] = []
        for one in control.inside[begin + 1 :]:
            if one.tag == LIST:
                # Writers put a cell's paragraphs beside its list or under it.
                parts.append((one.data, list(one.inside)))
            elif parts:
                parts[-1][1].append(one)
        if len(parts) == 1:
            # A frame around text, drawn as a table of one cell.
            yield from self.flow(parts[0][1])
            return
        yield from table_blocks([self._cell(data, inside) for data, inside in parts if len(data) >= 16])

    def _cell(self, data: bytes, inside: list[Record]) -> Cell:
        bits, column, row, columns, rows = struct.unpack_from("<IHHHH", data, 4)
        text, inner = cell_content(self.flow(inside))
        return Cell(row, column, text, max(rows, 1), max(columns, 1), inner, bool(bits & _IS_HEADER))


def _words(header: Record) -> _Words:
    """A paragraph's units one by one: letters, marks of one unit, controls of eight."""
    words = _Words()
    controls = iter([one for one in header.inside if one.tag == CONTROL])
    for data in (one.data for one in header.inside if one.tag == TEXT):
        units = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
        begin = at = 0
        while at < len(units):
            code = units[at]
            if code >= 32:
                at += 1
                continue
            words.said.append(data[2 * begin : 2 * at].decode("utf-16-le", "replace"))
            if code in _LETTERS or code == 0 or 25 <= code <= 29:
                words.said.append(_LETTERS.get(code, ""))
                at += 1
            else:
                if code == _TAB:
                    words.said.append("\t")
                elif code not in _WITHOUT_RECORD and (control := next(controls, None)) is not None:
                    words.said.append(_inline(control))
                    words.hanging.append(control)
                at += 8
            begin = at
        words.said.append(data[2 * begin :].decode("utf-16-le", "replace"))
    words.hanging += controls
    return words


def _inline(control: Record) -> str:
    """What a control says in its line: an equation's script, a word with its gloss, letters set over each other."""
    match _id(control):
        case "eqed":
            return next((f" {_counted(one.data, 4)} " for one in control.inside if one.tag == EQUATION), "")
        case "tdut" | "tcps":
            return _counted(control.data, 4)
        case _:
            return ""


def _id(control: Record) -> str:
    return control.data[3::-1].decode("latin-1") if len(control.data) >= 4 else ""


def _counted(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from("<H", data, at) if len(data) >= at + 2 else (0,)
    return data[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
