"""Writing so that a kill or a full disk leaves either the old state or the new one. Sizes are bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from app.core.errors import DiskFull

PIECE = 4 * 1024 * 1024
# Left free for the databases and logs that share the disk.
MARGIN = 256 * 1024 * 1024


def need_space(folder: Path, size: int) -> None:
    """DiskFull, with the numbers, where `size` more bytes in `folder` would leave less than the margin."""
    free = shutil.disk_usage(folder).free
    if free < size + MARGIN:
        raise DiskFull(
            f"The model needs {megabytes(size)}, and {megabytes(MARGIN)} must stay free; the disk of {folder} has {megabytes(free)} left.",
            hint="Free some space (`ondol models remove`), or set ONDOL_HOME to a larger disk.",
        )


def megabytes(size: int) -> str:
    """A size for people: `95 MB`, `4.7 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` as one step: a reader sees the old content or the new, also after a power cut."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            sync(file)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise full_or_same(error) from error
    sync_folder(path.parent)


def copy_stream(source: IO[bytes], target: Path, size: int, told: Callable[[int], None]) -> str:
    """Write a stream to a new file, durably; returns its SHA-256. `told` gets the bytes done so far. DiskFull."""
    digest, done = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            while piece := source.read(PIECE):
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                told(min(done, size))
            sync(file)
    except OSError as error:
        raise full_or_same(error) from error
    return digest.hexdigest()


def sha256(path: Path, told: Callable[[int], None] = lambda _: None) -> str:
    """The file's SHA-256. `told` gets the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            told(done)
    return digest.hexdigest()


def sync(file: IO[bytes]) -> None:
    """Wait until the file's bytes are on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the folder's names are on the disk; Windows keeps no handle on folders and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems refuse to sync a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Rename as one durable step. On Windows a virus scanner may hold a new file for a moment: tried again for 2 s."""
    until = time.monotonic() + 2
    while True:
        try:
            source.rename(target)
            break
        except PermissionError:
            if os.name != "nt" or time.monotonic() > until:
                raise
            time.sleep(0.1)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove_tree(folder: Path) -> None:
    """Delete a folder that nobody needs; what another process still holds open stays for the next time."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder, ignore_errors=True)


def full_or_same(error: OSError) -> Exception:
    """DiskFull for "no space left", else the error as it is."""
    return DiskFull() if error.errno in (errno.ENOSPC, errno.EDQUOT) else error
