"""The one doorway to olefile: the container of older Office files, of encrypted newer ones, and of HWP 5."""

from __future__ import annotations

import io
from typing import Any

from app.core.errors import ItemError
from ingest.readers.office.markup import missing_library

_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def is_compound(data: bytes) -> bool:
    """Whether the bytes begin as such a container does."""
    return data.startswith(_MAGIC)


class Compound:
    """The streams of one container, by path. ItemError: it is damaged."""

    def __init__(self, data: bytes) -> None:
        try:
            import olefile
        except ImportError:
            raise missing_library() from None
        try:
            self._ole: Any = olefile.OleFileIO(io.BytesIO(data))
            self.names = ["/".join(path) for path in self._ole.listdir()]
        except Exception:  # noqa: BLE001 - a damaged container makes it raise OSError, IndexError, struct.error and others
            raise _damaged() from None

    def __contains__(self, path: str) -> bool:
        return path in self.names

    def read(self, path: str) -> bytes:
        """A stream's bytes. ItemError: it is missing or damaged."""
        try:
            return bytes(self._ole.openstream(path).read())
        except Exception:  # noqa: BLE001 - as above
            raise _damaged() from None

    def title(self) -> str:
        """The title in the summary of an HWP file; "" where there is none."""
        for name in self.names:
            if name.lower().endswith("summaryinformation"):
                try:
                    found = self._ole.getproperties(name).get(2)
                except Exception:  # noqa: BLE001 - a damaged summary is no reason not to read the text
                    return ""
                text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
                return text.partition("\0")[0] if isinstance(text, str) else ""
        return ""


def why_not_open_xml(data: bytes, kind: str) -> ItemError:
    """A container that calls itself docx, pptx or xlsx: encrypted, or of the format before."""
    streams = Compound(data).names
    if "EncryptedPackage" in streams:
        return ItemError("is protected by a password.", hint="Save a copy without one.")
    return ItemError(f"is of an older Office format, not .{kind}.", hint=f"Open it in its program and save it as .{kind}.")


def _damaged() -> ItemError:
    return ItemError("is damaged or not whole.", hint="Open it in the program that wrote it and save it again.")
