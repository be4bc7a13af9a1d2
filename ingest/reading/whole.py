"""A file as a whole: its documents and, where it holds other files, theirs. Counted as they come; nothing here opens a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits, too_large_unpacked
from ingest.readers.registry import Readers


@dataclass
class _Spent:
    """What the whole file has taken so far, its inner files included."""

    inner_files: int = 0
    unpacked_bytes: int = 0


def read_whole(file: FileContent, readers: Readers) -> Iterator[Document | Failed]:
    """The file's documents, and what in it could not be read. A file without any text is a failure too."""
    return _read(file, readers, file.limits, _Spent(), depth=0)


def _read(file: FileContent, readers: Readers, limits: Limits, spent: _Spent, depth: int) -> Iterator[Document | Failed]:
    found_any = False
    try:
        for found in _opened(file, readers, limits, spent, depth):
            found_any = True
            empty = isinstance(found, Document) and not any(block.text.strip() for block in found.blocks)
            yield Failed(found.id, f"{found.id} has no text.") if isinstance(found, Document) and empty else found
        if not found_any:
            raise ItemError("has no text.")
    except ItemError as error:
        yield failure(file.id, error)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser may raise anything on a broken file: that file fails, the run goes on
        yield Failed(file.id, f"{file.id} could not be read ({type(error).__name__}: {error})."[:1000])


def _opened(file: FileContent, readers: Readers, limits: Limits, spent: _Spent, depth: int) -> Iterator[Document | Failed]:
    reader = readers.reader(file.suffix)
    if not hasattr(reader, "unpack"):
        yield from reader.read(file)
        return
    if depth >= limits.depth:
        raise ItemError(f"lies more than {limits.depth} archives deep.", hint="Unpack it first.")
    for found in reader.unpack(file):
        if not isinstance(found, FileContent):
            yield found
            continue
        spent.inner_files += 1
        spent.unpacked_bytes += len(found.data)
        if spent.inner_files > limits.inner_files:
            raise ItemError(f"holds more than {limits.inner_files} files.", hint="Unpack it into a folder, and ingest that.")
        left = limits.unpacked_bytes - spent.unpacked_bytes
        if left < 0:
            raise too_large_unpacked(limits.unpacked_bytes)
        if readers.can_read(found.suffix):
            inner = msgspec.structs.replace(found, limits=msgspec.structs.replace(limits, unpacked_bytes=left))
            yield from _read(inner, readers, limits, spent, depth + 1)


def failure(item: str, error: ItemError) -> Failed:
    """An item's error with the item's name in front of what is wrong with it."""
    return Failed(item, f"{item} {error}")
