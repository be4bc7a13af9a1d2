"""Chroma directories: `s<store>-g<generation>-<serial>`, a name that is never used twice.

Chroma remembers what it knows of a path for a process's life, so a rebuilt index always gets a new one.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from ingest.index import files
from ingest.index.book_view import Generation
from ingest.index.files import Position

log = logging.getLogger(__name__)

_NAME = re.compile(r"s(\d+)-g(\d+)-(\d+)")
POSITION = "position.json"


def newest(folder: Path, of: Generation) -> tuple[Path, Position] | None:
    """The generation's newest directory that is of this book, with its position."""
    found = [(int(match[3]), path) for path, match in _all(folder) if (int(match[1]), int(match[2])) == (of.store_id, of.id)]
    for _, path in sorted(found, reverse=True):
        position = files.read(path / POSITION, Position)
        if position is not None and position.identity == of.identity:
            return path, position
    return None


def create(folder: Path, of: Generation) -> Path:
    """A new, empty directory."""
    last = max((int(match[3]) for _, match in _all(folder)), default=0)
    path = folder / f"s{of.store_id}-g{of.id}-{max(last + 1, time.time_ns() // 1_000_000)}"
    path.mkdir(parents=True)
    return path


def sweep(folder: Path, keep: Collection[Path]) -> None:
    """Remove directories that nobody uses any more. What can't be removed now goes the next time."""
    for path, _ in _all(folder):
        if path not in keep:
            log.info("the index directory %s is removed", path.name)
            shutil.rmtree(path, ignore_errors=True)


def abandon(folder: Path, generation_id: int) -> None:
    """Let a generation's index be built anew from the book: a directory without its position is trusted by nobody."""
    for path, match in _all(folder):
        if int(match[2]) == generation_id:
            files.remove(path / POSITION)


def size(path: Path) -> int:
    """Bytes on the disk."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total


def _all(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    if not folder.is_dir():
        return []
    return [(path, match) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
