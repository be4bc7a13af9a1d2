"""Keys of rows that must be read, kept in a file while they are many: a table of a million new rows takes no memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec

from app.core.errors import foreign

_IN_MEMORY = 1_000_000


class KeySpool:
    """Written once, then read once. DiskFull where there is no room for it."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def add(self, keys: Sequence[Sequence[str]]) -> None:
        """So many more."""
        if not keys:
            return
        try:
            self._file.write(b"".join(msgspec.json.encode(key) + b"\n" for key in keys))
        except OSError as error:
            raise foreign(error) from error
        self.count += len(keys)

    def portions(self, size: int) -> Iterator[list[tuple[str, ...]]]:
        """All keys in the order in which they came, `size` at a time."""
        self._file.seek(0)
        some: list[tuple[str, ...]] = []
        for line in self._file:
            some.append(tuple(msgspec.json.decode(line)))
            if len(some) == size:
                yield some
                some = []
        if some:
            yield some
