"""What a reader is: bytes of one file in, documents out. No reader opens files, so each is tested with a value.

A reader registers its file suffix through the entry point group `ondol.readers`:

    [project.entry-points."ondol.readers"]
    md = "ingest.readers.markdown:MarkdownReader"
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from ingest.documents import Document, Failed


class FileContent(msgspec.Struct, frozen=True):
    """A file as a reader gets it. `id` is its absolute path with forward slashes, in NFC."""

    id: str
    data: bytes

    @property
    def stem(self) -> str:
        """The file's name without its last suffix: the title where the content has none."""
        name = self.id.rsplit("/", 1)[-1]
        return name.rsplit(".", 1)[0] or name

    @property
    def suffix(self) -> str:
        """Lower case, without the dot."""
        return self.id.rsplit("/", 1)[-1].rpartition(".")[2].lower()


class Reader(Protocol):
    """Made without arguments; one reader reads many files, one after the other.

    Raises `ItemError` where the file as a whole can't be read; yields `Failed` for a record or page that can't, and goes on.
    A file of one document takes the file's id; a record inside it `file id#record id`.
    """

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """The file's documents, in its order."""
        ...
