"""CSV and TSV: each row is a document, its values named by the header."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.rows import TITLES, plain_value, row_text

_LARGEST_FIELD = 64 * 1024 * 1024


class TableReader:
    """`.csv`, `.tsv`. A row's id is its `id` column where each row has one of its own, else its number from 1."""

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """A document for each row; an empty row is none."""
        text = decode(file.data)
        csv.field_size_limit(_LARGEST_FIELD)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, file.suffix), strict=True)
        try:
            found = [row for row in rows if any(cell.strip() for cell in row)]
        except csv.Error as error:
            raise ItemError(f"is not valid CSV at line {rows.line_num}: {error}.", hint="Check the quotes there.") from None
        if len(found) < 2:
            raise ItemError("has no rows under its header.", hint="The first line must name the columns.")
        header = [cell.strip() for cell in found[0]]
        ids = _ids(header, found[1:])
        title_at = next((at for name in TITLES for at, column in enumerate(header) if column.lower() == name), None)
        for number, row in enumerate(found[1:], 1):
            title = row[title_at].strip() if title_at is not None and title_at < len(row) else ""
            named = [(name, value.strip()) for name, value in zip(header, row, strict=False) if name and value.strip()]
            yield Document(
                f"{file.id}#{ids[number - 1] if ids else number}",
                title or f"{file.stem} #{number}",
                (Block(row_text(header, row), kind="row"),),
                attributes={name: plain_value(value) for name, value in named},
            )


def _delimiter(text: str, suffix: str) -> str:
    """A tab for `.tsv`; else what the header line has most of outside quotes, commas where in doubt."""
    if suffix == "tsv":
        return "\t"
    quoted = text.lstrip().partition("\n")[0].split('"')
    counts = Counter(letter for piece in quoted[::2] for letter in piece)
    return max(",;\t|", key=lambda mark: counts[mark])


def _ids(header: list[str], rows: list[list[str]]) -> list[str] | None:
    at = next((at for at, name in enumerate(header) if name.lower() == "id"), None)
    if at is None:
        return None
    ids = [row[at].strip() if at < len(row) else "" for row in rows]
    return ids if all(ids) and len(set(ids)) == len(ids) else None
