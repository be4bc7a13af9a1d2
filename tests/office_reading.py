"""How the tests of office readers look at what one file gave."""

from __future__ import annotations

from ingest.documents import Document
from ingest.readers.contract import FileContent, Reader


def one(reader: Reader, name: str, data: bytes) -> Document:
    """The one document of a file."""
    (found,) = reader.read(FileContent(f"/data/{name}", data))
    assert isinstance(found, Document)
    return found


def said(reader: Reader, name: str, data: bytes) -> list[str]:
    """The texts of its blocks."""
    return [block.text for block in one(reader, name, data).blocks]
