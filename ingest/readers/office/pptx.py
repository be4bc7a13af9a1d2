"""PPTX: slide by slide in the order of the show, each under its title, with the speaker's notes."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.office.flow import Heading, Item, placed, refuse_slides, said, title_of
from ingest.readers.office.grid import Cell, table_blocks
from ingest.readers.office.markup import Element, attribute, child, children, descendants, name, number
from ingest.readers.office.ooxml import Package

_TITLES = ("title", "ctrTitle")
# What stands on every slide: its number, the date, a running line, pictures of other slides.
_RUNNING = ("sldNum", "dt", "ftr", "hdr", "sldImg")
_BREAKS = {"br": "\n", "tab": "\t"}


class PptxReader:
    """`.pptx`, `.pptm`: titled by its properties, else by its first slide's title, else by the file's name. Hidden slides are read too."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document; a block's page is its slide."""
        package = Package.open(file, "pptx")
        slides = [part for id in _slide_ids(package) if (part := package.by_id(package.main, id))]
        refuse_slides(len(slides), file.limits.pages)
        read = [_Slide(package, part, page) for page, part in enumerate(slides, 1)]
        items = [item for slide in read for item in slide.items()]
        title = title_of(package.title(), next((slide.title for slide in read if slide.title), file.stem))
        yield Document(file.id, title, tuple(placed(items, title)))


def _slide_ids(package: Package) -> Iterator[str]:
    for slide in children(child(package.xml(package.main), "sldIdLst"), "sldId"):
        # The plain `id` beside it counts slides; the relationship is the one in a namespace.
        yield next((str(value) for key, value in slide.attrib.items() if key.endswith("}id")), "")


class _Slide:
    """One slide."""

    def __init__(self, package: Package, part: str, page: int) -> None:
        self._package, self._part, self._page = package, part, page
        self.title = ""

    def items(self) -> Iterator[Item]:
        """The title, what stands below it, and the notes."""
        tree = child(self._package.xml(self._part), "cSld", "spTree")
        shapes = [] if tree is None else list(_shapes(tree))
        titles = [shape for shape in shapes if _place(shape) in _TITLES and _text(shape)]
        below = [item for shape in shapes if shape not in titles[:1] and _place(shape) not in _RUNNING for item in self._shape(shape)]
        below += self._notes()
        below += self._comments()
        self.title = " ".join(_text(titles[0]).split()) if titles else ""
        if self.title or below:
            yield Heading(1, self.title or f"Slide {self._page}", self._page)
        yield from below

    def _notes(self) -> Iterator[Item]:
        part = self._package.linked(self._part, "notesSlide")
        shapes = descendants(self._package.xml(part), "sp") if part else ()
        text = "\n".join(_text(shape) for shape in shapes if _place(shape) not in _RUNNING).strip()
        if text:
            yield Block(f"Notes: {text}", page=self._page)

    def _comments(self) -> Iterator[Item]:
        part = self._package.linked(self._part, "comments")
        for comment in descendants(self._package.xml(part), "cm", "reply") if part else ():
            # Its text stands plain in older files, in paragraphs in newer ones.
            plain = child(comment, "text")
            text = _text(comment) if plain is None else said(plain.text or "")
            if text:
                yield Block(f"Comment: {text}", page=self._page)

    def _shape(self, shape: Element) -> Iterator[Item]:
        if name(shape) == "graphicFrame":
            yield from self._graphic(shape)
        elif text := _text(shape):
            listed = _place(shape) in ("body", "") and "\n" in text and _is_placeholder(shape)
            yield Block(text, page=self._page, kind="list" if listed else "text")

    def _graphic(self, frame: Element) -> Iterator[Item]:
        for table in descendants(frame, "tbl"):
            yield from table_blocks(list(_cells(table)), self._page)
        for pointer in descendants(frame, "chart", "relIds"):
            part = self._package.by_id(self._part, attribute(pointer, "id") or attribute(pointer, "dm"))
            if part:
                root = self._package.xml(part)
                text = _chart(root) if name(pointer) == "chart" else "\n".join(filter(None, map(_paragraphs, descendants(root, "t"))))
                if text:
                    yield Block(text, page=self._page)


def _shapes(tree: Element) -> Iterator[Element]:
    """Shapes with text and frames, groups opened, in the slide's order."""
    for one in tree:
        match name(one):
            case "sp" | "graphicFrame" | "cxnSp":
                yield one
            case "grpSp":
                yield from _shapes(one)
            case "AlternateContent":
                branch = child(one, "Choice")
                yield from () if branch is None else _shapes(branch)


def _placeholder(shape: Element) -> Element | None:
    return next((child(part, "nvPr", "ph") for part in shape if name(part).startswith("nv")), None)


def _is_placeholder(shape: Element) -> bool:
    return _placeholder(shape) is not None


def _place(shape: Element) -> str:
    """What the layout has the shape for; "" for a box of its own and for plain content."""
    found = _placeholder(shape)
    return "" if found is None else attribute(found, "type")


def _text(shape: Element) -> str:
    body = child(shape, "txBody")
    return "" if body is None else _paragraphs(body)


def _paragraphs(body: Element) -> str:
    """The paragraphs' letters, a paragraph a line."""
    lines = (
        "".join(_BREAKS.get(name(one)) or one.text or "" for one in descendants(paragraph, "t", *_BREAKS))
        for paragraph in children(body, "p")
    )
    return said("\n".join(lines))


def _cells(table: Element) -> Iterator[Cell]:
    properties = child(table, "tblPr")
    named = properties is not None and attribute(properties, "firstRow") in ("1", "true")
    for at, row in enumerate(children(table, "tr")):
        for column, cell in enumerate(children(row, "tc")):
            if "1" in (covered := (attribute(cell, "hMerge"), attribute(cell, "vMerge"))) or "true" in covered:
                continue
            body = child(cell, "txBody")
            text = "" if body is None else " ".join(_paragraphs(body).split())
            yield Cell(
                at, column, text, number(attribute(cell, "rowSpan"), 1), number(attribute(cell, "gridSpan"), 1), named=named and at == 0
            )


def _chart(root: Element) -> str:
    """What a chart is called, and its series with their numbers by category, as the file keeps them for showing."""
    lines = []
    title = next(descendants(root, "title"), None)
    rich = None if title is None else next(descendants(title, "rich"), None)
    if rich is not None:
        lines.append(_paragraphs(rich))
    for series in descendants(root, "ser"):
        called = ", ".join(_points(child(series, "tx")))
        values = _points(child(series, "val"))
        categories = _points(child(series, "cat"))
        pairs = [f"{category} {value}" for category, value in zip(categories, values, strict=False)] or values
        lines.append(": ".join(part for part in (called, ", ".join(pairs)) if part))
    return "\n".join(line for line in lines if line)


def _points(holder: Element | None) -> list[str]:
    return [] if holder is None else [" ".join((value.text or "").split()) for value in descendants(holder, "v")]
