"""What a reader made, checked before it leaves the reading process: it fits a frame, the book, and the file's limits.

Readers meet files of strangers. What the book can't hold would end the whole run; here it is that item's failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import Limits
from ingest.reading.whole import failure
from ingest.reading.wire import Portion

PORTION_BYTES = 1_000_000
PORTION_ITEMS = 1_000
NAME = 500
"""Characters of a title or heading: each chunk repeats them for the embedder."""
LONGEST_ID = 2_000
DEEPEST = 50
"""Levels of an attribute's value. What nests deeper breaks JSON writers of other parts, each at a depth of its own."""

_encoder = msgspec.msgpack.Encoder()


def portions(file_id: str, found: Iterable[Document | Failed], limits: Limits) -> Iterator[Portion]:
    """All that was found, in portions of bounded size. Above the limits the file itself fails, and the rest is left."""
    documents: list[msgspec.Raw] = []
    failed: list[Failed] = []
    size = count = characters = failures = 0
    try:
        for item in found:
            count += 1
            if count > limits.documents:
                raise ItemError(f"holds more than {limits.documents} documents.", hint="Split it.")
            checked = _packed(_shortened(item)) if isinstance(item, Document) else item
            if isinstance(checked, Failed):
                failures += 1
                if failures <= limits.failures:
                    failed.append(_printable(checked))
                    size += len(checked.reason)
            else:
                documents.append(msgspec.Raw(checked))
                size += len(checked)
                characters += _said(item)
                if characters > limits.characters:
                    documents.pop()
                    raise ItemError(f"holds more than {limits.characters} characters of text.", hint="Split it.")
            if size > PORTION_BYTES or len(documents) + len(failed) >= PORTION_ITEMS:
                yield Portion(documents, failed)
                documents, failed, size = [], [], 0
    except ItemError as error:
        failed.append(failure(file_id, error))
    if failures > limits.failures:
        failed.append(failure(file_id, ItemError(f"holds {failures - limits.failures} more parts that can't be read.")))
    yield Portion(documents, failed)


def _said(item: Document | Failed) -> int:
    return sum(len(block.text) for block in item.blocks) if isinstance(item, Document) else 0


def _packed(document: Document) -> bytes | Failed:
    """The document as it is sent, or why nobody could keep it."""
    if len(document.id) > LONGEST_ID:
        return Failed(f"{document.id[:200]}...", f"{document.id[:200]}... has an id of more than {LONGEST_ID} characters.")
    if _depth(document.attributes) > DEEPEST:
        return Failed(document.id, f"{document.id} nests its values more than {DEEPEST} deep. Flatten them.")
    try:
        return _encoder.encode(document)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError) as error:
        return Failed(document.id, f"{document.id} holds a value that can't be kept ({error}).")


def _shortened(document: Document) -> Document:
    """Titles and headings of a bounded length."""
    if len(document.title) > NAME:
        document = msgspec.structs.replace(document, title=document.title[:NAME])
    if any(len(heading) > NAME for block in document.blocks for heading in block.heading_path):
        blocks = tuple(
            msgspec.structs.replace(block, heading_path=tuple(heading[:NAME] for heading in block.heading_path))
            for block in document.blocks
        )
        document = msgspec.structs.replace(document, blocks=blocks)
    return document


def _depth(value: Any) -> int:
    """How deep containers stand in one another, counted up to `DEEPEST` and one more."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        inner = [one for one in level if isinstance(one, (dict, list, tuple))]
        depth += bool(inner)
        level = [deeper for one in inner for deeper in (one.values() if isinstance(one, dict) else one)]
    return depth


def _printable(failed: Failed) -> Failed:
    """A failure that can be stored, also where a name or a library's message is not valid text."""
    texts = (text.encode("utf-8", "replace").decode() for text in (failed.item[:LONGEST_ID], failed.reason[: NAME * 4]))
    return Failed(*texts)
