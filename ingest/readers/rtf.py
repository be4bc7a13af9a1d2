"""RTF through striprtf: the text by paragraphs, a table's cells side by side."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.errors import ItemError
from ingest.documents import Block, Document, tidy
from ingest.readers.contract import FileContent


class RtfReader:
    """`.rtf`: one document, titled by its file's name. Its letters outside ASCII are written in the encoding that it names."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        try:
            from striprtf.striprtf import rtf_to_text
        except ImportError:
            raise ItemError("needs striprtf to be read.", hint="pip install 'ondol[office]'") from None
        if not file.data.lstrip().startswith(b"{\\rtf"):
            raise ItemError("is not an RTF file.", hint="Open it in the program that wrote it and save it again.")
        text = tidy(rtf_to_text(file.data.decode("latin-1"), errors="replace"))
        lines = (line.strip().rstrip("|").replace("|", " | ") for line in text.split("\n"))
        yield Document(file.id, file.stem, tuple(Block(line) for line in lines if line))
