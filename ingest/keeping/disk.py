"""What the data folder takes on the disk, by its parts, in bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from app.core.paths import Home


class DiskUse(msgspec.Struct, frozen=True):
    """`book` with SQLite's files beside it, `index` (built from the book), `cache` (only saves time), and what is `free` there."""

    book: int
    index: int
    cache: int
    free: int

    @property
    def total(self) -> int:
        """Of the three."""
        return self.book + self.index + self.cache


def disk_use(home: Home) -> DiskUse:
    """As it is now; what goes away meanwhile counts as nothing."""
    beside = (home.book, *(home.book.with_name(home.book.name + end) for end in ("-wal", "-shm")))
    return DiskUse(sum(map(_size, beside)), _below(home.index), _below(home.cache), free_bytes(home))


def free_bytes(home: Home) -> int:
    """What may still be written beside the data."""
    return shutil.disk_usage(home.root).free


def spell(count: float) -> str:
    """For people: 1.2 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.{0 if unit in ('B', 'kB') else 1}f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _below(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*")) if folder.is_dir() else 0
