"""A file as a whole: its documents and, where it holds other files, theirs. Counted as they come; nothing here opens a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits, Packed, Spent, suffix_of, too_large, too_large_unpacked
from ingest.readers.registry import Readers

MOST_OF_AN_ERROR = 500
"""Characters of an error's text that are told."""


@dataclass
class _Taken:
    """What the whole file has taken so far, its inner files included."""

    inner_files: int = 0
    unpacked_bytes: int = 0


def read_whole(file: FileContent, readers: Readers) -> Iterator[Document | Failed]:
    """The file's documents, and what in it could not be read. A file without any text is a failure too."""
    return _read(file, readers, file.limits, _Taken(), depth=0)


def _read(file: FileContent, readers: Readers, limits: Limits, taken: _Taken, depth: int) -> Iterator[Document | Failed]:
    found_any = False
    try:
        for found in _opened(file, readers, limits, taken, depth):
            found_any = True
            empty = isinstance(found, Document) and not any(block.text.strip() for block in found.blocks)
            yield Failed(found.id, f"{found.id} has no text.") if isinstance(found, Document) and empty else found
        if not found_any:
            raise ItemError("has no text.")
    except ItemError as error:
        if depth and isinstance(error, Spent):
            raise
        yield failure(file.id, error)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser may raise anything on a broken file: that file fails, the run goes on
        # A reader has met what it was not made for: the name of the error is for whoever mends it.
        why = f"{type(error).__name__}: {error}"[:MOST_OF_AN_ERROR]
        yield Failed(file.id, f"{file.id} could not be read ({why}). It may be damaged: open it in its own program and save it again.")


def _opened(file: FileContent, readers: Readers, limits: Limits, taken: _Taken, depth: int) -> Iterator[Document | Failed]:
    reader = readers.reader(file.suffix)
    if not hasattr(reader, "unpack"):
        yield from reader.read(file)
        return
    if depth >= limits.depth:
        raise Spent(f"holds archives that lie more than {limits.depth} deep in one another.", hint="Unpack it first.")
    for found in reader.unpack(file):
        if isinstance(found, (Document, Failed)):
            yield found
            continue
        taken.inner_files += 1
        if taken.inner_files > limits.inner_files:
            raise Spent(f"holds more than {limits.inner_files} files.", hint="Unpack it into a folder, and ingest that.")
        yield from _inner(file, found, readers, limits, taken, depth)


def _inner(
    outer: FileContent, found: FileContent | Packed, readers: Readers, limits: Limits, taken: _Taken, depth: int
) -> Iterator[Document | Failed]:
    """What an inner file holds; nothing where no reader knows its kind."""
    left = limits.unpacked_bytes - taken.unpacked_bytes
    if isinstance(found, Packed):
        if not readers.can_read(suffix_of(found.path)):
            return
        named = outer.inner(found.path, b"")
        try:
            found = outer.inner(found.path, found.take(min(left, limits.file_bytes) + 1))
        except Spent:
            raise
        except ItemError as error:
            yield failure(named.id, error)
            return
    taken.unpacked_bytes += len(found.data)
    if len(found.data) > left:
        raise too_large_unpacked(limits.unpacked_bytes)
    if not readers.can_read(found.suffix):
        return
    if len(found.data) > limits.file_bytes:
        yield failure(found.id, too_large(limits.file_bytes))
    elif not found.data.strip():
        yield failure(found.id, ItemError("is empty."))
    else:
        less = msgspec.structs.replace(limits, unpacked_bytes=limits.unpacked_bytes - taken.unpacked_bytes)
        yield from _read(msgspec.structs.replace(found, limits=less), readers, limits, taken, depth + 1)


def failure(item: str, error: ItemError) -> Failed:
    """An item's error with the item's name in front of what is wrong with it."""
    return Failed(item, f"{item} {error}")
