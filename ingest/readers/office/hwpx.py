"""HWPX: the same documents as HWP, as XML in a ZIP (the Korean standard OWPML)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.errors import ItemError
from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.office.flow import Item, paragraph, placed, title_of
from ingest.readers.office.grid import Cell, cell_content, table_blocks
from ingest.readers.office.hangul import spelled
from ingest.readers.office.hwpx_styles import Styles
from ingest.readers.office.markup import Element, attribute, child, children, descendants, name, number, parse
from ingest.readers.unzip import Unzipped

_SECTION = re.compile(r"(?:.*/)?section(\d+)\.xml", re.IGNORECASE)
_BREAKS = {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " ", "hypen": "-", "hyphen": "-"}
_NOTES = {"footNote": "Footnote", "endNote": "Endnote", "hiddenComment": "Comment", "memo": "Comment"}
_MARGINS = frozenset(["header", "footer"])
_UNSAID = frozenset(["secPr", "linesegarray", "indexmark", "parameters", "shapeComment"])


class HwpxReader:
    """`.hwpx`: titled by its properties, else by a title at its beginning, else by the file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        parts = Unzipped(file.data, file.limits.unpacked_bytes)
        _refuse_locked(parts)
        numbered = {int(found.group(1)): part for part in parts.names if (found := _SECTION.fullmatch(part))}
        if not numbered:
            raise ItemError("is a ZIP, but no HWPX file.", hint="Save it as .hwpx again.")
        header = "Contents/header.xml"
        reading = _Reading(Styles(parse(parts.read(header), header) if header in parts else None))
        items = [item for at in sorted(numbered) for item in reading.flow(parse(parts.read(numbered[at]), numbered[at]))]
        title = title_of(spelled(_declared(parts)), reading.title or file.stem)
        yield Document(file.id, title, tuple(placed(items, title)))


def _refuse_locked(parts: Unzipped) -> None:
    manifest = "META-INF/manifest.xml"
    if manifest in parts and any(True for _ in descendants(parse(parts.read(manifest), manifest), "encryption-data")):
        raise ItemError("is protected by a password.", hint="Save a copy without one.")


def _declared(parts: Unzipped) -> str:
    package = next((part for part in parts.names if part.lower().endswith(".hpf")), "")
    title = next(descendants(parse(parts.read(package), package), "title"), None) if package else None
    return "" if title is None else title.text or ""


class _Reading:
    """One document from top to bottom."""

    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._margins: set[str] = set()
        self.title = ""

    def flow(self, parent: Element) -> Iterator[Item]:
        """The paragraphs below, with all that hangs on each."""
        for element in children(parent, "p"):
            yield from self._paragraph(element)

    def _paragraph(self, element: Element) -> Iterator[Item]:
        section = next(descendants(element, "secPr"), None)
        if section is not None:
            self._styles.begin_section(attribute(section, "outlineShapeIDRef"))
        words: list[str] = []
        hanging: list[Element] = []
        struck = False
        for run in children(element, "run"):
            struck = _take(run, words, hanging, struck)
        look = self._styles.look(attribute(element, "paraPrIDRef"), attribute(element, "styleIDRef"))
        text = "" if look.contents else spelled("".join(words)).strip()
        label = self._styles.label(look) if text else ""
        if look.title and not self.title:
            self.title = " ".join(text.split())
        yield from paragraph(f"{label} {text}".strip() if text else "", look.heading, "list" if look.listed else "text")
        for control in hanging:
            yield from self._control(control)

    def _control(self, element: Element) -> Iterator[Item]:
        kind = name(element)
        if kind == "tbl":
            yield from self._table(element)
        elif kind == "p":
            yield from self._paragraph(element)
        elif kind in _NOTES or kind in _MARGINS:
            text, rows = cell_content(item for one in element for item in self._control(one))
            for block in ([Block(f"{_NOTES[kind]}: {text}" if kind in _NOTES else text)] if text else []) + list(rows):
                if kind in _NOTES or (block.text not in self._margins and any(letter.isalpha() for letter in block.text)):
                    yield block
                if kind in _MARGINS:
                    self._margins.add(block.text)
        elif kind not in _UNSAID:
            for one in element:
                yield from self._control(one)

    def _table(self, table: Element) -> Iterator[Item]:
        if (caption := child(table, "caption")) is not None:
            yield from self._control(caption)
        cells = [cell for row in children(table, "tr") for cell in children(row, "tc")]
        if len(cells) == 1:
            # A frame around text, drawn as a table of one cell.
            yield from self._control(cells[0])
            return
        yield from table_blocks([self._cell(cell) for cell in cells])

    def _cell(self, cell: Element) -> Cell:
        place, span = child(cell, "cellAddr"), child(cell, "cellSpan")
        text, inner = cell_content(item for one in children(cell, "subList") for item in self.flow(one))
        return Cell(
            number(attribute(place, "rowAddr")) if place is not None else 0,
            number(attribute(place, "colAddr")) if place is not None else 0,
            text,
            max(number(attribute(span, "rowSpan"), 1), 1) if span is not None else 1,
            max(number(attribute(span, "colSpan"), 1), 1) if span is not None else 1,
            inner,
            attribute(cell, "header") in ("1", "true"),
        )


def _take(run: Element, words: list[str], hanging: list[Element], struck: bool) -> bool:
    """A run's letters, and the controls that hang on it. `struck`: whether what was deleted under tracked changes begins or goes on."""
    for one in run:
        match name(one):
            case "t":
                words.append("" if struck else one.text or "")
                for mark in one:
                    kind = name(mark)
                    struck = kind == "deleteBegin" or (struck and kind != "deleteEnd")
                    words.append("" if struck else _BREAKS.get(kind, "") + (mark.tail or ""))
            case "equation":
                words += (f" {script.text or ''} " for script in children(one, "script"))
                hanging.append(one)
            case "dutmal":
                words += (part.text or "" for part in children(one, "mainText"))
            case "compose":
                words.append(attribute(one, "composeText"))
            case "ctrl":
                hanging += list(one)
            case kind if kind not in _UNSAID:
                hanging.append(one)
    return struck
