"""ZIP archives: each file in them is read by the reader of its suffix. Nothing is written to the disk, so a path in one is only a name."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial

from app.core.errors import ItemError
from ingest.documents import tidy
from ingest.readers.contract import FileContent, Packed, Spent

RATIO, FLOOR = 200, 10_000_000
"""What grows more than so many times when unpacked, and above so many bytes, was made to fill a machine. Office texts grow tenfold."""
_UNIX, _UTF8, _ENCRYPTED = 3, 0x800, 0x1


class ZipReader:
    """`.zip`. An inner file's id is `archive's id#path in it`; hidden files, links and macOS' own side files are passed over."""

    def unpack(self, file: FileContent) -> Iterator[Packed]:
        """The inner files, as the archive lists them."""
        try:
            archive = zipfile.ZipFile(io.BytesIO(file.data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
            raise ItemError("is not a readable ZIP archive, or not whole.", hint="Pack it again.") from None
        with archive:
            for entry in archive.infolist():
                path = name_of(entry)
                if not (entry.is_dir() or _is_link(entry) or _is_hidden(path)):
                    yield Packed(path, partial(_take, archive, entry))


def name_of(entry: zipfile.ZipInfo) -> str:
    """The path of an entry. Without the mark for UTF-8 it may be anything: mostly UTF-8 all the same, or CP949 where Windows is Korean."""
    name = entry.filename
    if not entry.flag_bits & _UTF8:
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            break
    return tidy(name.replace("\\", "/")).replace("\n", " ")


def _take(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> bytes:
    if entry.flag_bits & _ENCRYPTED:
        raise ItemError("is protected by a password.", hint="Pack it again without one.")
    most = max(FLOOR, RATIO * entry.compress_size)
    try:
        with archive.open(entry) as opened:
            data = opened.read(min(size, most + 1))
    except NotImplementedError:
        raise ItemError(f"is packed by a method ({entry.compress_type}) that Ondol does not know.", hint="Pack it again as ZIP.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError):
        raise ItemError("is damaged in the archive.", hint="Pack it again.") from None
    if len(data) > most:
        raise Spent(f"holds {name_of(entry)}, which grows more than {RATIO} times when it is unpacked.", hint="Leave that out of it.")
    return data


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return entry.create_system == _UNIX and stat.S_ISLNK(entry.external_attr >> 16)


def _is_hidden(path: str) -> bool:
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return not parts or any(part.startswith((".", "~$")) or part == "__MACOSX" for part in parts)
