"""A ZIP of which no more is ever inflated than its reader may take. Sizes that the file declares are not believed, only kept to."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib

from app.core.errors import ItemError
from ingest.readers.contract import too_large_unpacked

_ENCRYPTED = 0x1
_PIECE = 1 << 20
_SAVE_AGAIN = "Open it in the program that wrote it and save it again."
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError, NotImplementedError)


class Unzipped:
    """The members of one ZIP, by name without regard to case or to the direction of slashes (office programs have none either).

    `limit`: bytes that all reads together may inflate. ItemError: not a ZIP, damaged, encrypted, or more than that.
    """

    def __init__(self, data: bytes, limit: int) -> None:
        self._limit, self._left = limit, limit
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN:
            raise ItemError("is damaged, not whole, or not what its name says.", hint=_SAVE_AGAIN) from None
        self._members = {_plain(info.filename): info for info in self._zip.infolist() if not info.is_dir()}

    @property
    def names(self) -> list[str]:
        """Every member's name as the file spells it, in its order."""
        return [info.filename for info in self._members.values()]

    def __contains__(self, name: str) -> bool:
        return _plain(name) in self._members

    def read(self, name: str) -> bytes:
        """A member's bytes. ItemError: it is missing, damaged, encrypted or too large."""
        info = self._members.get(_plain(name))
        if info is None:
            raise _damaged(f"{name} is missing")
        if info.flag_bits & _ENCRYPTED:
            raise ItemError("is protected by a password.", hint="Save a copy without one.")
        if info.file_size > self._left:
            raise too_large_unpacked(self._limit)
        pieces = []
        try:
            with self._zip.open(info) as member:
                while piece := member.read(_PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise too_large_unpacked(self._limit)
                    pieces.append(piece)
        except _BROKEN:
            raise _damaged(f"{name} can't be unpacked") from None
        return b"".join(pieces)


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _damaged(what: str) -> ItemError:
    return ItemError(f"is damaged or not whole ({what}).", hint=_SAVE_AGAIN)
