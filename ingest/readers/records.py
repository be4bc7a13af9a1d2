"""JSON: lines or lists of records, or one object. Of a record `id`, `title`, `text` and `url` are kept, other fields are attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed, tidy
from ingest.readers import tree
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.plain import paragraphs
from ingest.readers.rows import TITLES

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
            except (msgspec.DecodeError, RecursionError) as error:
                yield Failed(f"{file.id}#line {number}", f"Line {number} is not valid JSON: {error}.")
                continue
            yield _document(file, number, record, "line")


class JsonReader:
    """`.json`. A list of objects, alone or as the only value of an object, gives a document for each; anything else is one document."""

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """A document for each record, or one. ItemError: it is no JSON, or nested without end."""
        try:
            value = msgspec.json.decode(decode(file.data))
        except msgspec.DecodeError as error:
            raise ItemError(f"is not valid JSON: {error}.", hint="Name it .jsonl if each of its lines is a record.") from None
        except RecursionError:
            raise ItemError("is JSON that is nested too deeply.", hint="Export it as JSON lines, a record a line.") from None
        records = _records(value)
        if records is None:
            named = value.get("title") if isinstance(value, Mapping) else None
            yield Document(
                file.id, tidy(named).strip() if isinstance(named, str) and named.strip() else file.stem, tuple(tree.blocks(value))
            )
            return
        ids = [record.get("id") for record in records]
        own = len({str(id) for id in ids}) == len(ids)
        for number, record in enumerate(records, 1):
            found = _document(file, number, record if own else {**record, "id": number}, "record")
            yield (
                msgspec.structs.replace(found, title=found.title or _name(record) or f"{file.stem} #{number}")
                if isinstance(found, Document)
                else found
            )


def _records(value: Any) -> list[Mapping[str, Any]] | None:
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    alike = isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)
    return value if alike else None


def _name(record: Mapping[str, Any]) -> str:
    named = next((record[name] for name in TITLES if isinstance(record.get(name), str)), "")
    return tidy(named).strip()


def _document(file: FileContent, number: int, record: object, word: str) -> Document | Failed:
    item = f"{file.id}#{word} {number}"
    if not isinstance(record, Mapping):
        return Failed(item, f'Line {number} is not a JSON object. Write {{"id": ..., "title": ..., "text": ...}}.')
    text = record.get("text")
    if text is not None and not isinstance(text, str):
        return Failed(item, f'"text" in {word} {number} is not a string.')
    id, title, url = (record.get(name) for name in ("id", "title", "url"))
    attributes = {str(name): value for name, value in record.items() if name not in _OWN and value is not None}
    blocks = tuple(Block(block.text) for block in paragraphs(tidy(text or "")))
    if text is None:
        blocks = (Block(tidy(tree.text(attributes)), kind="row"),)
    if not any(block.text.strip() for block in blocks):
        return Failed(item, f'{word.capitalize()} {number} has no "text".')
    name = tidy(str(id)).strip() if isinstance(id, str | int) and not isinstance(id, bool) else ""
    return Document(
        f"{file.id}#{name or number}",
        tidy(str(title)).strip() if isinstance(title, str | int) else "",
        blocks,
        url=url if isinstance(url, str) else "",
        attributes=attributes,
    )
