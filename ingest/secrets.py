"""Passwords of ingested databases: one file that its owner alone may read, so that `ingest sync` can run again.

They stand nowhere else: not in the book, not in a log, not in an error.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from app.core.errors import OndolError
from app.core.locks import FileLock


class Secrets:
    """A small map in a file. Reads and writes whole; each write replaces the file in one step."""

    def __init__(self, path: Path, locks: Path) -> None:
        self._path, self._lock = path, locks / "secrets.lock"

    def get(self, name: str) -> str | None:
        """The secret of this name."""
        return self._read().get(name)

    def put(self, name: str, secret: str) -> None:
        """Keep a secret in place of an older one."""
        with FileLock(self._lock, who="a change of secrets"):
            known = self._read()
            if known.get(name) != secret:
                self._write({**known, name: secret})

    def remove(self, name: str) -> None:
        """Forget a secret; one that isn't there is no error."""
        with FileLock(self._lock, who="a change of secrets"):
            known = self._read()
            if known.pop(name, None) is not None:
                self._write(known)

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            # The parser's own message may quote the file, so it is not passed on.
            raise OndolError(
                f"{self._path} can't be read.", hint="Move it away and ingest the databases again with their passwords."
            ) from None

    def _write(self, known: dict[str, str]) -> None:
        # mkstemp makes the file with mode 0600 from its first moment.
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".secrets-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(known)))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
