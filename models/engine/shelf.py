"""States of chats that left the cache: in memory, and on the disk, so that a model that was unloaded starts warm.

One file per state in a folder that all models share; a name begins with the fingerprint of the model, the library and the layout
that can read it. Files are private, appear whole by a rename, and carry a checksum; what is damaged, foreign or too much is
removed, the oldest first. Nothing here is needed: a full disk or a lost file costs only the time to compute the tokens again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import time
import zlib
from array import array
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from models.engine import prefix
from models.engine.images import whole

log = logging.getLogger(__name__)
_MAGIC = b"ondol-kv"
_HEAD = struct.Struct("<8sIIQI")  # magic, version, tokens, bytes of state, checksum of tokens and state
_VERSION = 1
_SUFFIX = ".kv"
_PIECE = 16 << 20  # bytes that are written in one go


class Found(NamedTuple):
    """A state by its name, the tokens in it, and how many of those that were looked for it begins with."""

    name: str
    tokens: Sequence[int]
    length: int


class _Entry:
    """One state. `data` None: on the disk alone."""

    def __init__(self, tokens: Sequence[int], group: str, data: bytes | None, size: int, at: float) -> None:
        self.tokens, self.group, self.data, self.size, self.at = tokens, group, data, size, at
        self.written = data is None


class Shelf:
    """States of one model. `memory` and `disk` are budgets in bytes (0: none); without a `folder` there is no disk."""

    def __init__(self, fingerprint: str, *, memory: int, folder: Path | None = None, disk: int = 0) -> None:
        self._fingerprint, self._memory = fingerprint, memory
        self._folder, self._disk = (folder, disk) if disk else (None, 0)
        self._entries: dict[str, _Entry] = {}
        self._writing: Iterator[None] = iter(())
        if self._folder is not None:
            self._look()

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes in memory, and of this model on the disk."""
        memory = sum(len(entry.data) for entry in self._entries.values() if entry.data is not None)
        return memory, sum(entry.size for entry in self._entries.values() if entry.written)

    def put(self, tokens: Sequence[int], group: Hashable, state: Callable[[], bytes]) -> bool:
        """Take a state in; what it makes useless or there is no room for leaves. False where it is larger than all of the room."""
        if not self._memory:
            return False
        kept = array("i", tokens)
        name = self._name(kept, repr(group))
        if name in self._entries:
            self._entries[name].at = time.time()
            return True
        data = state()
        if not data or len(data) > self._memory:
            return False
        self._entries[name] = _Entry(kept.tolist(), repr(group), data, _HEAD.size + len(kept) * 4 + len(data), time.time())
        self._bound_memory()
        return True

    def find(self, tokens: Sequence[int], group: Hashable, *, cuts: bool) -> Found | None:
        """The state that begins with most of these tokens; `cuts`: whether one can be used in part."""
        best: Found | None = None
        for name, entry in self._entries.items():
            if entry.group != repr(group):
                continue
            length = whole(tokens, min(prefix.common(entry.tokens, tokens), len(tokens) - 1))
            if (cuts or length == len(entry.tokens)) and length > (best.length if best else 0):
                best = Found(name, entry.tokens, length)
        return best

    def read(self, name: str) -> bytes | None:
        """A state's bytes; None, and it is forgotten, where the file is gone or damaged."""
        entry = self._entries[name]
        entry.at = time.time()
        if entry.data is not None:
            return entry.data
        data = self._read(name, entry)
        if data is None:
            self.remove(name)
        else:
            with contextlib.suppress(OSError):
                os.utime(self._path(name))
        return data

    def remove(self, name: str) -> None:
        """Forget a state, also on the disk."""
        self._entries.pop(name, None)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._path(name).unlink(missing_ok=True)

    def save(self) -> bool:
        """Write a piece of what is not on the disk yet; False when all of it is. A failure turns the disk off."""
        if self._folder is None:
            return False
        try:
            next(self._writing)
        except StopIteration:
            waiting = [name for name, entry in self._entries.items() if not entry.written]
            if not waiting:
                return False
            name = max(waiting, key=lambda one: self._entries[one].at)
            self._writing = self._write(name, self._entries[name])
        except OSError as error:
            log.warning("chats are not kept on the disk any more: %s", error.strerror or error)
            self._folder = None
            return False
        return True

    def _name(self, tokens: array[int], group: str) -> str:
        return hashlib.sha256(tokens.tobytes() + group.encode()).hexdigest()[:24]

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._fingerprint}-{name}{_SUFFIX}"

    def _bound_memory(self) -> None:
        """The oldest leave the memory; those that are on the disk stay in the list."""
        while self.sizes[0] > self._memory:
            name = min((name for name, entry in self._entries.items() if entry.data is not None), key=lambda one: self._entries[one].at)
            entry = self._entries[name]
            if entry.written and self._folder is not None and self._path(name).exists():
                entry.data = None
            else:
                del self._entries[name]

    def _bound_disk(self) -> None:
        """The oldest files leave, whichever model's they are."""
        assert self._folder is not None
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                found = path.stat()
                files.append((found.st_mtime, found.st_size, path))
        over = sum(size for _, size, _ in files) - self._disk
        for _, size, path in sorted(files):
            if over <= 0:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            over -= size
            name = path.stem.removeprefix(f"{self._fingerprint}-")
            if (entry := self._entries.get(name)) is not None and entry.data is None:
                del self._entries[name]

    def _look(self) -> None:
        """What earlier runs of this model left; what isn't whole goes, and so do files that never became whole."""
        assert self._folder is not None
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in self._folder.glob("*.part"):
                if time.time() - path.stat().st_mtime > 3600:
                    path.unlink(missing_ok=True)
            for path in self._folder.glob(f"{self._fingerprint}-*{_SUFFIX}"):
                entry = _head(path)
                if entry is None:
                    path.unlink(missing_ok=True)
                else:
                    self._entries[path.stem.removeprefix(f"{self._fingerprint}-")] = entry
        except OSError as error:
            log.warning("chats can't be kept on the disk: %s", error.strerror or error)
            self._folder = None

    def _read(self, name: str, entry: _Entry) -> bytes | None:
        try:
            content = memoryview(self._path(name).read_bytes())
        except OSError:
            return None
        *_, check = _HEAD.unpack(content[: _HEAD.size]) if len(content) == entry.size else (None,)
        if check != zlib.crc32(content[_HEAD.size :]):
            return None
        group = len(entry.group.encode())
        return bytes(content[_HEAD.size + 4 + group + len(entry.tokens) * 4 :])

    def _write(self, name: str, entry: _Entry) -> Iterator[None]:
        """Piece by piece, so that a request that comes meanwhile waits for one of them alone."""
        assert self._folder is not None
        entry.written, data = True, entry.data
        if data is None or entry.size > self._disk:
            return
        group = entry.group.encode()
        middle = struct.pack("<I", len(group)) + group + array("i", entry.tokens).tobytes()
        path = self._path(name)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600), "wb") as file:
                check = zlib.crc32(data, zlib.crc32(middle))
                file.write(_HEAD.pack(_MAGIC, _VERSION, len(entry.tokens), len(data), check) + middle)
                for at in range(0, len(data), _PIECE):
                    file.write(data[at : at + _PIECE])
                    yield
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        entry.size = _HEAD.size + len(middle) + len(data)
        self._bound_disk()


def _head(path: Path) -> _Entry | None:
    """A file's tokens; None where it isn't one of ours, or not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD.size + 4)
        if len(head) < _HEAD.size + 4:
            return None
        magic, version, count, length, _ = _HEAD.unpack(head[: _HEAD.size])
        group = int.from_bytes(head[_HEAD.size :], "little")
        if magic != _MAGIC or version != _VERSION or size != _HEAD.size + 4 + group + count * 4 + length:
            return None
        text = file.read(group)
        tokens = array("i", file.read(count * 4))
    return _Entry(tokens.tolist(), text.decode("utf-8", "replace"), None, size, path.stat().st_mtime)


def fingerprint(model: Path, *parts: object) -> str:
    """Of the weights (samples all over the file) and of whatever else must be the same for a state to be of use."""
    found = hashlib.sha256(repr(parts).encode())
    size = model.stat().st_size
    found.update(struct.pack("<Q", size))
    with model.open("rb") as file:
        for index in range(64):
            file.seek(max(0, size - 16_384) * index // 63)
            found.update(file.read(16_384))
    return found.hexdigest()[:16]
