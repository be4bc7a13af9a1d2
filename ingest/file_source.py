"""A folder or a file as a source: what was not touched is not read, what can't be read keeps its old documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import ItemError, NotFound
from ingest.documents import Failed
from ingest.files import Content, FoundFile, Walked, find, load, owner, read
from ingest.readers.registry import Readers
from ingest.reading.whole import failure
from ingest.run import Run


def look(root: Path, readers: Readers, state: dict[str, Any]) -> Walked:
    """What there is to read. A file that was read before and has gone from its folder is an empty source: its documents go too.

    A folder that is missing as a whole is NotFound instead: a drive that isn't there must not empty a store.
    """
    try:
        return find(root, readers)
    except NotFound:
        if state.get("files") and not state.get("folder") and root.parent.is_dir():
            return Walked((), (), 0)
        raise


def fill_from_files(run: Run, walked: Walked, readers: Readers, limit: int, *, folder: bool) -> None:
    """Bring the store's documents in line with the files."""
    memory = _Memory.of(run, walked)
    run.state |= {"rule": run.rule, "folder": folder, "files": memory.stamps}
    run.counts.skipped = walked.skipped
    run.start(len(walked.files))
    unread = {failed.item for failed in walked.failed}
    for failed in walked.failed:
        run.fail(failed)
    for file in walked.files:
        if memory.untouched(file):
            run.keep(memory.documents(file))
        elif not _read(run, memory, file, readers, limit):
            unread.add(file.id)
        run.passed()
    run.flush()
    run.remove_unseen(spared=lambda document: _within(document, memory.owner(document), unread))


@dataclass
class _Memory:
    """What the store knows of files. `stamps`: size, mtime in ns and sha256 of files whose documents are all on the disk."""

    stamps: dict[str, list[Any]]
    _documents: dict[str, list[str]]
    _files: set[str]

    @classmethod
    def of(cls, run: Run, walked: Walked) -> _Memory:
        current = run.state.get("rule") == run.rule
        known = set(run.state.get("files", ()))
        found = {file.id for file in walked.files}
        stamps = {id: stamp for id, stamp in run.state.get("files", {}).items() if id in found and current}
        memory = cls(stamps, {}, known | found)
        for id in run.known:
            memory._documents.setdefault(memory.owner(id) or "", []).append(id)
        return memory

    def owner(self, document_id: str) -> str | None:
        return owner(document_id, self._files)

    def documents(self, file: FoundFile) -> list[str]:
        return self._documents.get(file.id, [])

    def untouched(self, file: FoundFile) -> bool:
        """The stamp is believed only where the documents are really there: another source's `forget` may have taken them."""
        return bool(self.documents(file)) and self.stamps.get(file.id, [])[:2] == file.stamp

    def same(self, file: FoundFile, content: Content) -> bool:
        return bool(self.documents(file)) and self.stamps.get(file.id, [])[2:] == [content.sha256]

    def remember(self, file: FoundFile, content: Content) -> None:
        # A file too young for its stamp to be trusted is remembered by its content alone.
        self.stamps[file.id] = [*(file.stamp if content.settled else [0, 0]), content.sha256]


def _read(run: Run, memory: _Memory, file: FoundFile, readers: Readers, limit: int) -> bool:
    """Hand the file's documents to the run; whether all of it could be read."""
    try:
        content = load(file, limit)
    except ItemError as error:
        run.fail(failure(file.id, error))
        return False
    whole = True
    if memory.same(file, content):
        run.keep(memory.documents(file))
    else:
        # Until its documents are written the file counts as unknown: a kill in between reads it again.
        memory.stamps.pop(file.id, None)
        for item in read(file, content, readers):
            if isinstance(item, Failed):
                run.fail(item)
                whole = False
            else:
                run.put(item)
    if whole:
        run.after_commit(lambda: memory.remember(file, content))
    return whole


def _within(id: str, file: str | None, unread: Iterable[str]) -> bool:
    """Whether a document's file, or a folder above it, could not be read (wholly): then its absence means nothing."""
    return any(file == item or id.startswith(f"{item}/") for item in unread)
