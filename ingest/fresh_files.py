"""The files behind a few documents, looked at again: whether they are as they were read."""

from __future__ import annotations

import hashlib
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.core.records import Freshness
from ingest.documents import came_from

MOST_HASHED = 20_000_000
"""Bytes of a file that is read again to see whether it only seems to have changed."""


def look_at_files(
    spec: Mapping[str, Any], stamps: Mapping[str, Sequence[Any]], ids: Sequence[str], *, folder: bool
) -> dict[str, Freshness]:
    """How the files of these documents stand to the stamps (size, time, hash) that were taken when they were read. Blocking."""
    if "path" not in spec or not _there(Path(spec["path"]), folder=folder):
        return {}  # the drive is away: that says nothing of its files
    told: dict[str, Freshness] = {}
    seen: dict[str, Freshness] = {}
    for id in ids:
        file = next((name for name in came_from(id) if name in stamps), None)
        if file is not None:
            if file not in seen:
                seen[file] = _look(Path(file), stamps[file])
            told[id] = seen[file]
    return told


def _there(root: Path, *, folder: bool) -> bool:
    """Whether the source itself can be seen: the folder (an empty one may be where a drive is mounted), or the one around the file."""
    around = root if folder else root.parent
    try:
        return next(around.iterdir(), None) is not None
    except OSError:
        return False


def _look(named: Path, stamp: Sequence[Any]) -> Freshness:
    path = _spelled(named)
    if path is None:
        return "deleted"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "deleted"
        if [status.st_size, status.st_mtime_ns] == list(stamp[:2]):
            return "current"
        if status.st_size > MOST_HASHED:
            return "changed"
        return "current" if hashlib.sha256(path.read_bytes()).hexdigest() == stamp[2] else "changed"
    except OSError:
        return "unknown"


def _spelled(named: Path) -> Path | None:
    """The path as the disk has it: ids are composed, names on a disk may be decomposed."""
    for form in ("NFC", "NFD"):
        path = Path(unicodedata.normalize(form, str(named)))
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass
        return path
    return None
