"""The index's small files: written whole or not at all, read as absent when damaged."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Position(msgspec.Struct, frozen=True):
    """How far a Chroma directory has followed the book: `seq` of the outbox, and the entries it held then.

    `seq` -1: it is still being filled from the book.
    """

    identity: str
    seq: int
    entries: int


def write(path: Path, value: msgspec.Struct) -> None:
    """Replace the file in one step. Killed in between, the old one stands."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(msgspec.json.encode(value))
    beside.replace(path)


def read(path: Path, kind: type[T]) -> T | None:
    """The value; None where the file is missing, torn or of another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def remove(path: Path) -> None:
    """Remove a file where that is possible now: Windows keeps files that another process maps."""
    with contextlib.suppress(OSError):
        path.unlink()


def taken_in(index: Path, generation_id: int) -> int:
    """The outbox's number up to which the index follows this generation; 0 where it doesn't. Rows up to it can be pruned."""
    found = [read(path, Position) for path in index.glob(f"s*-g{generation_id}-*/position.json")]
    return max((position.seq for position in found if position is not None), default=0)
