"""JSON lines: each line is a record; `id`, `title`, `text` and `url` are kept, other fields become attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ingest.documents import Block, Document, Failed, tidy
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.plain import paragraphs

_OWN = ("id", "title", "text", "url")


class RecordReader:
    """`.jsonl`, `.ndjson`. A record without an `id` is known by its line; one without `text` says its other fields."""

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """A document for each good line; a bad one is `Failed`."""
        # Not splitlines(): JSON strings may hold U+2028 and its like as they are.
        for number, line in enumerate(decode(file.data).split("\n"), 1):
            if not line.strip():
                continue
            try:
                record = msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                yield Failed(f"{file.id}#line {number}", f"Line {number} is not valid JSON: {error}.")
                continue
            yield _document(file, number, record)


def _document(file: FileContent, number: int, record: object) -> Document | Failed:
    item = f"{file.id}#line {number}"
    if not isinstance(record, Mapping):
        return Failed(item, f'Line {number} is not a JSON object. Write {{"id": ..., "title": ..., "text": ...}}.')
    text = record.get("text")
    if text is not None and not isinstance(text, str):
        return Failed(item, f'"text" in line {number} is not a string.')
    id, title, url = (record.get(name) for name in ("id", "title", "url"))
    attributes = {str(name): value for name, value in record.items() if name not in _OWN and value is not None}
    blocks = tuple(Block(block.text) for block in paragraphs(tidy(text or "")))
    if text is None:
        blocks = (Block(_fields(attributes), kind="row"),)
    if not any(block.text.strip() for block in blocks):
        return Failed(item, f'Line {number} has no "text".')
    name = tidy(str(id)).strip() if isinstance(id, str | int) and not isinstance(id, bool) else ""
    return Document(
        f"{file.id}#{name or number}",
        tidy(str(title)).strip() if isinstance(title, str | int) else "",
        blocks,
        url=url if isinstance(url, str) else "",
        attributes=attributes,
    )


def _fields(attributes: Mapping[str, Any]) -> str:
    said = ((name, value if isinstance(value, str) else msgspec.json.encode(value).decode()) for name, value in attributes.items())
    return tidy("\n".join(f"{name}: {value}" for name, value in said if value.strip()))
