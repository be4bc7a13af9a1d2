"""HWP 5 as a file: which streams hold text, how they are packed and, in a distributed document, locked. What their records say: `hwp`."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.errors import ItemError
from ingest.readers.contract import FileContent, too_large_unpacked
from ingest.readers.office.aes import decrypt
from ingest.readers.office.compound import Compound, is_compound

_SIGNATURE = b"HWP Document File"
_PACKED, _PASSWORD, _DISTRIBUTED = 1 << 0, 1 << 1, 1 << 2
_RIGHTS = 1 << 4 | 1 << 8 | 1 << 10
_LOCK = 28
_LOCK_SIZE = 256
_DEEPEST = 200
_SECTION = re.compile(r"(BodyText|ViewText)/Section(\d+)")


@dataclass
class Record:
    """A piece of a stream: what kind (`tag`), its bytes, and the records that the file puts under it."""

    tag: int
    data: bytes
    inside: list[Record] = field(default_factory=list)


class HwpFile:
    """The readable streams of one file. ItemError: protected, of another version, damaged."""

    def __init__(self, file: FileContent) -> None:
        if not is_compound(file.data):
            raise _not_hwp5(file.data)
        self._streams = Compound(file.data)
        self._limit = self._left = file.limits.unpacked_bytes
        header = self._streams.read("FileHeader") if "FileHeader" in self._streams else b""
        if not header.startswith(_SIGNATURE) or len(header) < 40:
            raise ItemError("is no HWP file, whatever its name says.", hint="Open it in the program that wrote it.")
        self._flags = int(struct.unpack_from("<I", header, 36)[0])
        if self._flags & _PASSWORD:
            raise ItemError("is protected by a password.", hint="Save a copy without one.")
        if self._flags & _RIGHTS:
            raise ItemError("is protected by a rights management program (DRM).", hint="Save a copy without it.")

    @property
    def title(self) -> str:
        """What its summary calls it."""
        return self._streams.title()

    def styles(self) -> Record:
        """What paragraphs may look like."""
        return _tree(self._unpacked(self._streams.read("DocInfo"))) if "DocInfo" in self._streams else Record(0, b"")

    def sections(self) -> Iterator[Record]:
        """The text, section by section."""
        locked = bool(self._flags & _DISTRIBUTED)
        room = "ViewText" if locked else "BodyText"
        found = {
            int(match.group(2)): name for name in self._streams.names if (match := _SECTION.fullmatch(name)) and match.group(1) == room
        }
        if not found:
            raise ItemError("has no text streams: it is damaged.", hint="Open it in its program and save it again.")
        for at in sorted(found):
            data = self._streams.read(found[at])
            yield _tree(self._unpacked(unlocked(data) if locked else data))

    def _unpacked(self, data: bytes) -> bytes:
        if self._flags & _PACKED:
            inflate = zlib.decompressobj(-15)
            try:
                data = inflate.decompress(data, self._left + 1)
            except zlib.error as error:
                raise _damaged(str(error)) from None
            if not inflate.eof and len(data) <= self._left:
                raise _damaged("a stream ends too early")
        self._left -= len(data)
        if self._left < 0:
            raise too_large_unpacked(self._limit)
        return data


def unlocked(data: bytes) -> bytes:
    """A section of a document for distribution, still packed: its first record hides the key that the rest is encrypted with.

    ItemError: it has no such record.
    """
    record = next(_records(data), None)
    if record is None or record[1] != _LOCK or len(record[2]) < _LOCK_SIZE:
        raise _damaged("the lock of a distributed document is missing")
    lock = record[2][:_LOCK_SIZE]
    seed = state = int(struct.unpack_from("<I", lock)[0])
    noise = bytearray()
    while len(noise) < _LOCK_SIZE:
        # The generator of Microsoft's C library, which wrote these files.
        state = (state * 214013 + 2531011) & 0xFFFFFFFF
        value = (state >> 16) & 0xFF
        state = (state * 214013 + 2531011) & 0xFFFFFFFF
        noise += bytes([value]) * (((state >> 16) & 0xF) + 1)
    plain = bytes(left ^ right for left, right in zip(lock, noise, strict=False))
    begin = 4 + (seed & 0xF)
    return decrypt(data[record[3] :], plain[begin : begin + 16])


def _records(data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """(level, tag, bytes, offset behind it) of each record."""
    at = 0
    while at + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, at)
        at += 4
        size = head >> 20
        if size == 0xFFF and at + 4 <= len(data):
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        if at + size > len(data):
            raise _damaged("a record ends too late")
        yield (head >> 10) & 0x3FF, head & 0x3FF, data[at : at + size], at + size
        at += size


def _tree(data: bytes) -> Record:
    root = Record(0, b"")
    path = [root]
    for level, tag, content, _ in _records(data):
        if level > _DEEPEST:
            raise _damaged(f"{level} levels deep")
        del path[level + 1 :]
        record = Record(tag, content)
        path[-1].inside.append(record)
        path.append(record)
    return root


def _not_hwp5(data: bytes) -> ItemError:
    if data.startswith(_SIGNATURE):
        return ItemError("is of an HWP version before 5.", hint="Open it in Hancom Office and save it as HWPX.")
    return ItemError("is not a readable HWP file.", hint="Open it in Hancom Office and save it as HWPX.")


def _damaged(what: str) -> ItemError:
    return ItemError(f"is damaged or not whole ({what}).", hint="Open it in Hancom Office and save it again.")
