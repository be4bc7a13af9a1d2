"""OpenDocument text (odt) and presentations (odp). Spreadsheets (ods) are read with the other workbooks."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.errors import ItemError
from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.office.flow import Heading, Item, paragraph, placed, refuse_slides, said, title_of
from ingest.readers.office.grid import WIDEST, Cell, cell_content, table_blocks
from ingest.readers.office.markup import Element, attribute, child, children, descendants, name, number, parse
from ingest.readers.unzip import Unzipped

# Deleted text is kept apart from the body; a table of contents repeats the headings; the others stand on every page or are code.
_UNSAID = frozenset(
    [
        "tracked-changes",
        "forms",
        "sequence-decls",
        "variable-decls",
        "table-of-content",
        "scripts",
        "event-listeners",
        "desc",
        "title",
        "ruby-text",
    ]
)
_BOXES = ("frame", "custom-shape", "rect")
_BREAKS = {"tab": "\t", "line-break": "\n"}
_LONGEST_GAP = 100


class OdfReader:
    """`.odt`, `.odp`: titled by its properties, else by a title at its beginning, else by the file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document; a block's page is its slide."""
        parts = Unzipped(file.data, file.limits.unpacked_bytes)
        if "META-INF/manifest.xml" in parts and _locked(parse(parts.read("META-INF/manifest.xml"), "META-INF/manifest.xml")):
            raise ItemError("is protected by a password.", hint="Save a copy without one.")
        content = parse(parts.read("content.xml"), "content.xml")
        styles = parse(parts.read("styles.xml"), "styles.xml") if "styles.xml" in parts else None
        refuse_slides(sum(1 for _ in children(child(content, "body", "presentation"), "page")), file.limits.pages)
        reading = _Reading(content)
        items = [*reading.margins(styles, "header"), *reading.body(), *reading.margins(styles, "footer")]
        title = title_of(_declared(parts), reading.title or file.stem)
        yield Document(file.id, title, tuple(placed(items, title)))


def _locked(manifest: Element) -> bool:
    return any(True for _ in descendants(manifest, "encryption-data"))


def _declared(parts: Unzipped) -> str:
    found = next(descendants(parse(parts.read("meta.xml"), "meta.xml"), "title"), None) if "meta.xml" in parts else None
    return "" if found is None else found.text or ""


class _Reading:
    """One document from top to bottom."""

    def __init__(self, content: Element) -> None:
        self._content = content
        # A paragraph's own style is one of these; what it derives from says what it is.
        self._parents = {
            attribute(style, "name"): attribute(style, "parent-style-name")
            for style in children(child(content, "automatic-styles"), "style")
        }
        self.title = ""

    def body(self) -> Iterator[Item]:
        """The text, or the slides."""
        for body in children(child(self._content, "body"), "text"):
            yield from self._flow(body)
        for show in children(child(self._content, "body"), "presentation"):
            for page, slide in enumerate(children(show, "page"), 1):
                yield from self._slide(slide, page)

    def margins(self, styles: Element | None, kind: str) -> Iterator[Item]:
        """Headers or footers of all page styles: each said once, and not where it is a page number alone."""
        seen = set()
        for margin in () if styles is None else descendants(styles, kind, f"{kind}-left", f"{kind}-first"):
            text, _ = cell_content(self._flow(margin))
            if text not in seen and any(letter.isalpha() for letter in text):
                yield Block(text)
            seen.add(text)

    def _slide(self, slide: Element, page: int) -> Iterator[Item]:
        frames = [frame for frame in descendants(slide, *_BOXES) if not _inside(frame, "notes", *_BOXES)]
        titles = [frame for frame in frames if attribute(frame, "class") == "title"]
        heading = " ".join(cell_content(self._flow(titles[0]))[0].split()) if titles else ""
        self.title = self.title or heading
        items = [item for frame in frames if frame not in titles[:1] for item in self._flow(frame)]
        below = [Block(item.text, page=page, kind=item.kind if isinstance(item, Block) else "text") for item in items]
        notes = (cell_content(self._flow(found))[0] for found in children(slide, "notes"))
        below += [Block(f"Notes: {text}", page=page) for text in notes if text]
        if heading or below:
            yield Heading(1, heading or f"Slide {page}", page)
        yield from below

    def _flow(self, parent: Element, kind: str = "text") -> Iterator[Item]:
        for element in parent:
            tag = name(element)
            if tag in ("p", "h"):
                yield from self._paragraph(element, kind)
            elif tag == "table":
                yield from self._table(element)
            elif tag not in _UNSAID:
                yield from self._flow(element, "list" if tag == "list" else kind)

    def _paragraph(self, element: Element, kind: str) -> Iterator[Item]:
        words: list[str] = []
        hanging: list[Element] = []
        _take(element, words, hanging)
        text = said("".join(words))
        style = attribute(element, "style-name")
        level = number(attribute(element, "outline-level"), 1) if name(element) == "h" else 0
        if self._parents.get(style, style) == "Title":
            level = 1
            self.title = self.title or " ".join(text.split())
        yield from paragraph(text, level, "list" if kind == "list" else "text")
        for one in hanging:
            yield from self._hanging(one)

    def _hanging(self, element: Element) -> Iterator[Item]:
        match name(element):
            case "note":
                body = child(element, "note-body")
                label = "Endnote" if attribute(element, "note-class") == "endnote" else "Footnote"
                if body is not None and (text := cell_content(self._flow(body))[0]):
                    yield Block(f"{label}: {text}")
            case "annotation":
                author = child(element, "creator")
                text = cell_content(self._flow(element))[0]
                if text:
                    yield Block(f"Comment ({author.text}): {text}" if author is not None and author.text else f"Comment: {text}")
            case _:
                yield from self._flow(element)

    def _table(self, table: Element) -> Iterator[Item]:
        cells = list(self._cells(table))
        if len(cells) == 1:
            # A frame around text, drawn as a table of one cell.
            yield from self._flow(next(descendants(table, "table-cell")))
            return
        yield from table_blocks(cells)

    def _cells(self, table: Element) -> Iterator[Cell]:
        for at, (row, named) in enumerate(_rows(table)):
            column = 0
            for cell in row:
                times = min(number(attribute(cell, "number-columns-repeated"), 1), WIDEST)
                if name(cell) == "table-cell":
                    text, inner = cell_content(self._flow(cell))
                    spans = number(attribute(cell, "number-rows-spanned"), 1), number(attribute(cell, "number-columns-spanned"), 1)
                    if text or inner or times == 1:
                        yield from (Cell(at, column + more, text, *spans, inner, named) for more in range(times))
                column += times


def _rows(table: Element, named: bool = False) -> Iterator[tuple[Element, bool]]:
    """The rows, and whether each is of the header."""
    for one in table:
        match name(one):
            case "table-row":
                yield one, named
            case "table-header-rows":
                yield from _rows(one, True)
            case "table-rows" | "table-row-group":
                yield from _rows(one, named)


def _inside(element: Element, *kinds: str) -> bool:
    return any(name(above) in kinds for above in element.iterancestors())


def _take(element: Element, words: list[str], hanging: list[Element]) -> None:
    """A paragraph's letters, and what hangs on it: notes, comments, frames."""
    words.append(element.text or "")
    for one in element:
        kind = name(one)
        if kind == "s":
            words.append(" " * min(number(attribute(one, "c"), 1), _LONGEST_GAP))
        elif kind in _BREAKS:
            words.append(_BREAKS[kind])
        elif kind in ("note", "annotation", *_BOXES):
            hanging.append(one)
        elif kind not in _UNSAID:
            _take(one, words, hanging)
        words.append(one.tail or "")
