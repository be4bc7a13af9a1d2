"""Links in folders, and where they lead."""

from __future__ import annotations

import os
from pathlib import Path

_JUNCTION = 0xA0000003
"""What Windows calls a folder that stands for another one: no symbolic link to Python, and a link to everybody else."""


def is_link(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder stands for something at another place."""
    try:
        return entry.is_symlink() or (os.name == "nt" and getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _JUNCTION)
    except OSError:
        return False  # what can't be looked at is told by whoever opens it


def is_within(target: Path, folder: Path) -> bool:
    """Whether a path is the folder or below it; both without links in them.

    The folders themselves are compared where the names say no: a link may spell them in another case or another Unicode form than the disk.
    """
    if target.is_relative_to(folder):
        return True
    try:
        status = folder.stat()
        return status.st_ino != 0 and any(os.path.samestat(above.stat(), status) for above in (target, *target.parents))
    except OSError:
        return False
