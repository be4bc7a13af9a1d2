"""What a reader hands on: documents made of blocks, and items that could not be read."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

Kind = Literal["text", "list", "row", "code"]

_BYTES = 16
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")


class Block(msgspec.Struct, frozen=True):
    """A paragraph, a list, a table's row or a piece of code, in reading order.

    `heading_path` names the sections around it, outermost first. `page` and `line` count from 1; None where unknown.
    """

    text: str
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    line: int | None = None
    kind: Kind = "text"


class Document(msgspec.Struct, frozen=True):
    """One thing that is found, cited, replaced and deleted as a whole.

    `version` stands for the content where the source can tell it more cheaply than by its text (a row's hash). `access`: labels of
    its own, in place of its source's; None where it has none.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
    url: str = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    version: str = ""
    access: tuple[str, ...] | None = None


class Failed(msgspec.Struct, frozen=True):
    """An item that could not be read, and why, in words that say what to do."""

    item: str
    reason: str


def came_from(id: str) -> Iterator[str]:
    """The files that a document or an item may be of: its id, then each part of it before a `#`, which a path may hold too."""
    while id:
        yield id
        id = id.rpartition("#")[0]


def tidy(text: str) -> str:
    """One form for equal text: NFC (macOS writes decomposed Hangul), line feeds alone, no control characters."""
    # Most of what a table says is in this form already, and seen to be so at once.
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub("", unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n"))


def content_hash(document: Document, rule: str) -> str:
    """Of all that chunks are made from, and the rule that makes them: equal hashes, equal chunks."""
    return version_hash(document.version or _digest(_said(document)), rule)


def version_hash(version: str, rule: str) -> str:
    """The content hash of a document of this version: known without reading the document."""
    return _digest(f"{rule}\0{version}".encode())


def version_hashes(prefix: str, rule: str) -> Callable[[str], str]:
    """`version_hash` of versions that begin alike, for many of them: what they share is hashed once."""
    begun = hashlib.blake2b(f"{rule}\0{prefix}".encode(), digest_size=_BYTES)

    def rest(end: str) -> str:
        hash = begun.copy()
        hash.update(end.encode())
        return hash.hexdigest()

    return rest


def _said(document: Document) -> bytes:
    return msgspec.json.encode((document.title, document.blocks, document.url, document.attributes), order="sorted")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_BYTES).hexdigest()
