"""EPUB: the chapters in the order of the book, each under its heading or the name that the table of contents has for it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.html import chapter_blocks
from ingest.readers.office.flow import said, title_of
from ingest.readers.office.markup import Element, attribute, child, children, descendants, name, parse
from ingest.readers.unzip import Unzipped

_CONTAINER = "META-INF/container.xml"
_LOCKS = "META-INF/encryption.xml"
_PAGES = frozenset(["application/xhtml+xml", "text/html", "application/x-dtbook+xml"])


class EpubReader:
    """`.epub`: titled by its metadata, else by the file's name; the author is an attribute."""

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """One document, and a failure for each chapter that can't be read."""
        book = _Book(Unzipped(file.data, file.limits.unpacked_bytes))
        title = title_of(book.said("title"), file.stem)
        known = {"author": book.said("creator"), "publisher": book.said("publisher"), "language": book.said("language")}
        blocks: list[Block] = []
        failed: list[tuple[str, ItemError]] = []
        for part in book.chapters():
            try:
                blocks += book.blocks(part, title)
            except ItemError as error:
                failed.append((part, error))
        if failed and not blocks:
            raise failed[0][1]
        yield from (Failed(f"{file.id}#{part}", f"{file.id}#{part} {error}") for part, error in failed)
        yield Document(file.id, title, tuple(blocks), attributes={key: value for key, value in known.items() if value})


class _Book:
    """The package of one book: its metadata, its files and their order."""

    def __init__(self, parts: Unzipped) -> None:
        self._parts = parts
        if _CONTAINER not in parts:
            raise ItemError("is a ZIP, but no EPUB file.", hint="Open it in an e-book program and save it again.")
        root = next(descendants(parse(parts.read(_CONTAINER), _CONTAINER), "rootfile"), None)
        where = "" if root is None else attribute(root, "full-path")
        self._folder = posixpath.dirname(where)
        self._package = parse(parts.read(where), where)
        self._items = {attribute(item, "id"): item for item in children(child(self._package, "manifest"), "item")}
        self._names = dict(self._contents())

    def said(self, wanted: str) -> str:
        """What the metadata says, all of its entries of that name."""
        found = (" ".join((one.text or "").split()) for one in children(child(self._package, "metadata"), wanted))
        return said(", ".join(dict.fromkeys(filter(None, found))))

    def chapters(self) -> Iterator[str]:
        """The pages in the book's order. ItemError: they are encrypted."""
        locked = set(self._locked())
        for reference in children(child(self._package, "spine"), "itemref"):
            item = self._items.get(attribute(reference, "idref"))
            # The page that lists the contents says nothing of its own.
            if item is None or attribute(item, "media-type") not in _PAGES or "nav" in attribute(item, "properties").split():
                continue
            part = self._beside(self._folder, attribute(item, "href"))
            if part in locked:
                raise ItemError("is protected by its seller (DRM).", hint="Such a book can only be opened in the seller's program.")
            if part in self._parts:
                yield part

    def blocks(self, part: str, title: str) -> Iterator[Block]:
        """A chapter's blocks; where it has no heading, under its name in the table of contents."""
        found = list(chapter_blocks(self._parts.read(part), title))
        called = self._names.get(part, "")
        headed = any(block.heading_path for block in found[:3]) or (found and found[0].text == called)
        for block in found:
            yield (
                block
                if headed or not called or called == title
                else msgspec.structs.replace(block, heading_path=(called, *block.heading_path))
            )

    def _contents(self) -> Iterator[tuple[str, str]]:
        """(page, name) of the table of contents, in the old form and the new."""
        for item in self._items.values():
            part = self._beside(self._folder, attribute(item, "href"))
            old = attribute(item, "media-type") == "application/x-dtbncx+xml"
            if part not in self._parts or not (old or "nav" in attribute(item, "properties").split()):
                continue
            root = parse(self._parts.read(part), part)
            for entry in descendants(root, "navPoint" if old else "a"):
                target = next((attribute(one, "src") for one in children(entry, "content")), "") if old else attribute(entry, "href")
                label = child(entry, "navLabel", "text") if old else entry
                path, _, within = target.partition("#")
                if label is not None and path and not within:
                    yield self._beside(posixpath.dirname(part), path), " ".join("".join(_letters(label)).split())

    def _locked(self) -> Iterator[str]:
        if _LOCKS in self._parts:
            for reference in descendants(parse(self._parts.read(_LOCKS), _LOCKS), "CipherReference"):
                yield self._beside("", attribute(reference, "URI"))

    @staticmethod
    def _beside(folder: str, href: str) -> str:
        return posixpath.normpath(posixpath.join("/", folder, unquote(href.partition("#")[0]))).lstrip("/")


def _letters(element: Element) -> Iterator[str]:
    yield element.text or ""
    for one in element:
        if name(one):
            yield from _letters(one)
        yield one.tail or ""
