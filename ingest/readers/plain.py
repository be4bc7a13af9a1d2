"""Plain text: paragraphs between blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode

_PARAGRAPH = re.compile(r"\S(?:.|\n(?![ \t]*\n))*")


def paragraphs(text: str, first_line: int = 1) -> Iterator[Block]:
    """The paragraphs with their lines."""
    line, behind = first_line, 0
    for found in _PARAGRAPH.finditer(text):
        line += text.count("\n", behind, found.start())
        behind = found.start()
        yield Block(found.group().rstrip(), line=line)


class TextReader:
    """`.txt`: one document, titled by the file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        yield Document(file.id, file.stem, tuple(paragraphs(decode(file.data))))
