"""Files found in folders and read within limits. What is found is decided before anything is opened."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import stat
import time
import unicodedata
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.core.errors import ItemError, NotFound, UpstreamError
from ingest.documents import Failed
from ingest.links import is_link, is_within
from ingest.readers.contract import suffix_of, too_large
from ingest.readers.registry import Readers
from ingest.reading.whole import failure

RACY_NS = 2_000_000_000
"""A file written again within one tick of its clock shows the same time (FAT: 2 s): younger ones are not trusted."""
WRITTEN_MEANWHILE = 3
"""So often is a file read whose size or time changed under the reading; what the last time gave is taken, and looked at again next time."""


@dataclass(frozen=True)
class FoundFile:
    """A file that some reader knows. `id`: absolute, forward slashes, NFC; `path`: as the system spells it."""

    id: str
    path: Path
    size: int
    mtime_ns: int

    @property
    def stamp(self) -> list[int | str]:
        """What is compared to see that a file was not touched."""
        return [self.size, self.mtime_ns]

    @property
    def version(self) -> str:
        """The same as a word."""
        return f"{self.size} {self.mtime_ns}"


@dataclass(frozen=True)
class Walked:
    """A folder's readable files in a fixed order; those of unknown kinds are counted, what could not be looked into has failed.

    `device`: the drive that it lies on, as the system numbers them; 0 where there is none. `outside`: links that lead out of the folder
    and were not followed. `folder`: it is one.
    """

    files: tuple[FoundFile, ...]
    failed: tuple[Failed, ...]
    skipped: int
    device: int = 0
    outside: tuple[str, ...] = ()
    folder: bool = False

    @property
    def nothing(self) -> bool:
        """Whether there is no file at all, read or not."""
        return not (self.files or self.failed or self.skipped or self.outside)


def file_id(path: Path) -> str:
    """The id of a path: the same on every run, however it was typed. ItemError: the name is not text."""
    try:
        name = Path(os.path.abspath(home_spelled(path))).as_posix()  # noqa: PTH100 - Path.absolute() leaves ".." in
        name.encode()
    except UnicodeEncodeError:
        raise ItemError("has a name that is not valid text.", hint="Rename it.") from None
    return unicodedata.normalize("NFC", name)


def home_spelled(path: Path) -> Path:
    """With `~` as the folder that it stands for; one of a user that there is not stays what it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser() raises there


def find(root: Path, readers: Readers, *, links: bool = False) -> Walked:
    """The file that `root` names, or all below it, hidden ones left out; `links`: also what links in it lead to outside of it.

    NotFound: there is no such path. UpstreamError: the system can't tell (a network drive that does not answer), which says nothing of what
    was there.
    """
    try:
        status = root.stat()
    except (FileNotFoundError, ValueError):  # no path holds a NUL
        raise NotFound(f"There is no file or folder {shown(root)}.", hint="Check the path.") from None
    except OSError as error:
        hint = "Check that it may be read, and that its drive is connected."
        raise UpstreamError(f"{shown(root)} can't be looked into: {error.strerror}.", hint=hint) from None
    if stat.S_ISDIR(status.st_mode):
        return dataclasses.replace(_Walk(root, readers, links=links).walked(), device=status.st_dev, folder=True)
    try:
        id = file_id(root)
        if not stat.S_ISREG(status.st_mode):
            raise ItemError("is not a file.")
        readers.reader(suffix_of(root.name))
    except ItemError as error:
        return Walked((), (failure(shown(root), error),), 0)
    return Walked((FoundFile(id, root, status.st_size, status.st_mtime_ns),), (), 0, status.st_dev)


class _Walk:
    """All below one folder. A link's turn comes after all that is there by itself: one to what was found already brings nothing."""

    def __init__(self, root: Path, readers: Readers, *, links: bool) -> None:
        self._root, self._readers, self._leave_by_links = root, readers, links
        self._real_root = Path(os.path.realpath(root))
        self._files: dict[str, FoundFile] = {}
        self._failed: list[Failed] = []
        self._outside: list[str] = []
        self._skipped = 0
        self._folders: set[tuple[int, int]] = set()
        self._targets: set[Path] = set()
        self._links: deque[Path] = deque()

    def walked(self) -> Walked:
        """Look at all of it."""
        self._below(self._root)
        while self._links:
            link = self._links.popleft()
            if self._taken(link, linked=True) == "folder":
                self._below(link)
        files = tuple(sorted(self._files.values(), key=lambda file: file.id))
        return Walked(files, tuple(self._failed), self._skipped, outside=tuple(self._outside))

    def _below(self, root: Path) -> None:
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                entries = self._entries(folder)
            except OSError as error:
                self._failed.append(Failed(shown(folder), f"{shown(folder)} can't be looked into: {error.strerror}."))
                continue
            self._links += [folder / entry.name for entry in entries if is_link(entry)]
            own = [folder / entry.name for entry in entries if not is_link(entry)]
            folders += reversed([entry for entry in own if self._taken(entry) == "folder"])

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What is in a folder, in a fixed order; nothing the second time: by a link, or a loop of links."""
        status = folder.stat()  # not scandir's, which has no inode on Windows
        if status.st_ino and (status.st_dev, status.st_ino) in self._folders:  # a drive may number nothing: 0
            return []
        self._folders.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: (unicodedata.normalize("NFC", entry.name), entry.name))

    def _taken(self, entry: Path, *, linked: bool = False) -> Literal["folder", ""]:
        """Note what an entry is; "folder" where what is in it counts too."""
        try:
            found = _found(entry, self._readers)
            if linked and found not in ("hidden", "unknown") and not self._counts(entry):
                return ""
            if found == "folder":
                return found
            if isinstance(found, FoundFile) and found.id in self._files:
                raise ItemError("has the same name as another file here, in another Unicode form.", hint="Rename one of them.")
            if isinstance(found, FoundFile):
                self._files[found.id] = found
            self._skipped += found == "unknown"
        except ItemError as error:
            self._failed.append(failure(shown(entry), error))
        return ""

    def _counts(self, link: Path) -> bool:
        """Whether what a link leads to is to be read, and was not found before."""
        target = Path(os.path.realpath(link))
        if not self._leave_by_links and not is_within(target, self._real_root):
            self._outside.append(shown(link))
            return False
        if target in self._targets:
            return False
        self._targets.add(target)
        return not (target.is_relative_to(self._real_root) and file_id(self._root / target.relative_to(self._real_root)) in self._files)


def _found(entry: Path, readers: Readers) -> FoundFile | Literal["folder", "unknown", "hidden"]:
    readable = readers.can_read(suffix_of(entry.name))
    try:
        status = entry.stat()
    except OSError as error:
        nowhere = isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP
        if _hidden(entry.name, None) or (nowhere and not readable):
            return "hidden"  # a link to nothing that we would read; what can't be looked at might be a whole folder
        raise ItemError(f"can't be looked into: {error.strerror}.") from None
    if _hidden(entry.name, status):
        return "hidden"
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    if not readable or not stat.S_ISREG(status.st_mode):
        return "unknown"
    return FoundFile(file_id(entry), entry, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Content:
    """The bytes of a file, their hash, and whether its stamp may stand for them from now on."""

    data: bytes
    sha256: str
    settled: bool


def load(file: FoundFile, limit: int) -> Content:
    """The whole file. ItemError: larger than `limit` bytes, empty, unreadable, or no longer a file."""
    try:
        for _ in range(WRITTEN_MEANWHILE):
            before, data, after = _taken(file.path, limit)
            if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                break
    except OSError as error:
        raise ItemError(f"can't be opened: {error.strerror or error}.", hint="Check its permissions.") from None
    content = checked(data, limit)
    same = file.stamp == [before.st_size, before.st_mtime_ns] == [after.st_size, after.st_mtime_ns]
    return dataclasses.replace(content, settled=same and time.time_ns() - after.st_mtime_ns > RACY_NS)


def checked(data: bytes, limit: int) -> Content:
    """The content that these bytes are. ItemError: more than `limit` of them, or none."""
    if len(data) > limit:
        raise too_large(limit)
    if not data.strip():
        raise ItemError("is empty.")
    return Content(data, hashlib.sha256(data).hexdigest(), settled=True)


def _taken(path: Path, limit: int) -> tuple[os.stat_result, bytes, os.stat_result]:
    """The bytes, and what the file said of itself before and after. A pipe that took the file's place does not hold us up."""
    with open(path, "rb", opener=_at_once) as opened:
        before = os.fstat(opened.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ItemError("is not a file.")
        if before.st_size > limit:
            raise too_large(limit)
        return before, opened.read(limit + 1), os.fstat(opened.fileno())


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _hidden(name: str, status: os.stat_result | None) -> bool:
    attributes = getattr(status, "st_file_attributes", 0) if status else 0
    return name.startswith((".", "~$")) or bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)


def shown(path: Path) -> str:
    """A path that can be printed and stored, also where its name is not valid text."""
    text = Path(os.path.abspath(path)).as_posix()  # noqa: PTH100
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
