"""A folder or a file as a source: what was not touched is not read, what can't be read keeps its old documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.core.errors import NotFound
from ingest.documents import Failed, came_from
from ingest.files import FoundFile, Walked, find
from ingest.readers.registry import Readers
from ingest.reading.client import Reading
from ingest.reading.wire import Outcome, Wanted
from ingest.run import Run

_NAMED = 5
"""Of the links that were left out."""
Bring = Callable[[Iterable[Wanted]], Iterator[Wanted]]


def look(root: Path, readers: Readers, state: dict[str, Any], *, links: bool) -> Walked:
    """What there is to read; `links`: also where links lead out of the folder.

    A file that was read before and has gone from its folder is an empty source: its documents go too. A folder that is missing as a whole
    is NotFound instead: a drive that isn't there must not empty a store.
    """
    try:
        return find(root, readers, links=links)
    except NotFound:
        if state.get("files") and not state.get("folder") and root.parent.is_dir():
            return Walked((), (), 0, root.parent.stat().st_dev)
        raise


def fill_from_files(run: Run, walked: Walked, reading: Reading, *, bring: Bring = iter) -> None:
    """Bring the store's documents in line with the files. `bring` puts bytes into the questions for files that lie elsewhere.

    NotFound, and nothing is removed: there is no file any more, and another drive where they were.
    """
    before = run.state.get("device")
    if walked.nothing and run.documents and before and before != walked.device:
        raise NotFound(
            "There is nothing any more, and another drive is at its place: its own seems not to be connected. Nothing was removed.",
            hint="Connect it; if all is right so, take the source out with `ondol ingest forget`.",
        )
    memory = _Memory.of(run, walked)
    folder = walked.folder or bool(not walked.files and run.state.get("folder"))  # what is at its place now may be no file of ours
    run.state.update(rule=run.rule, folder=folder, device=walked.device, files=memory.stamps)
    run.counts.skipped = walked.skipped
    run.start(len(walked.files))
    if walked.outside:
        run.notice(_left_out(walked.outside))
    unread = {failed.item for failed in walked.failed}
    for failed in walked.failed:
        run.fail(failed)
    files = _to_read(run, memory, walked.files, unread)
    for wanted, told in reading.read(bring(memory.wanted(file) for file in files.values())):
        file = files[wanted.id]
        if isinstance(told, Outcome):
            if told.same:
                run.keep(memory.documents(file))
            elif told.sha256 and file.id not in unread and (before := memory.moved_from(told.sha256, unread)):
                run.moved(before)
            if told.sha256 and file.id not in unread:
                run.after_commit(partial(memory.remember, file, told))
            run.passed()
            continue
        # Until its documents are written the file counts as unknown: a kill in between reads it again.
        memory.stamps.pop(file.id, None)
        if isinstance(told, Failed):
            run.fail(told, file.version)
            unread.add(file.id)
        else:
            run.put(told)
    run.flush()
    run.remove_unseen(spared=lambda document: _within(document, memory.owner(document), unread))


def _left_out(links: Sequence[str]) -> str:
    named = ", ".join(links[:_NAMED]) + (", ..." if len(links) > _NAMED else "")
    many = "1 link leads out of the folder and was" if len(links) == 1 else f"{len(links)} links lead out of the folder and were"
    return f"{many} left out: {named}. `ondol ingest files --follow-links` reads what is there, too."


def _to_read(run: Run, memory: _Memory, found: Iterable[FoundFile], unread: set[str]) -> dict[str, FoundFile]:
    """The files that must be opened; of the others, those whose documents are as they were are kept."""
    files: dict[str, FoundFile] = {}
    for file in found:
        if memory.untouched(file):
            run.keep(memory.documents(file))
        elif run.unsettled(file.mtime_ns) or run.holds_back(file.id, file.version):
            unread.add(file.id)
        else:
            files[file.id] = file
            continue
        run.passed()
    return files


@dataclass
class _Memory:
    """What the store knows of files. `stamps`: size, mtime in ns and sha256 of files whose documents are all on the disk."""

    stamps: dict[str, list[Any]]
    _documents: dict[str, list[str]]
    _files: set[str]
    _vanished: dict[str, list[str]]

    @classmethod
    def of(cls, run: Run, walked: Walked) -> _Memory:
        current = run.state.get("rule") == run.rule and not run.reread
        known = set(run.state.get("files", ()))
        found = {file.id for file in walked.files}
        stamps = {id: stamp for id, stamp in run.state.get("files", {}).items() if id in found and current}
        vanished: dict[str, list[str]] = {}
        for id in sorted(known - found):
            vanished.setdefault(run.state["files"][id][2], []).append(id)
        memory = cls(stamps, {}, known | found, vanished)
        for id in run.known_ids():
            memory._documents.setdefault(memory.owner(id) or "", []).append(id)
        return memory

    def owner(self, document_id: str) -> str | None:
        """The file that a document came from."""
        return next((file for file in came_from(document_id) if file in self._files), None)

    def documents(self, file: FoundFile) -> list[str]:
        return self._documents.get(file.id, [])

    def untouched(self, file: FoundFile) -> bool:
        """The stamp is believed only where the documents are really there: another source's `forget` may have taken them."""
        return bool(self.documents(file)) and self.stamps.get(file.id, [])[:2] == file.stamp

    def moved_from(self, sha256: str, unread: Iterable[str]) -> list[str]:
        """The documents of a file that had the same content and is no longer where it was: each is given once."""
        ids = self._vanished.get(sha256, [])
        while ids:
            id = ids.pop(0)
            if documents := [one for one in self._documents.pop(id, ()) if not _within(one, id, unread)]:
                return documents
        return []

    def wanted(self, file: FoundFile) -> Wanted:
        """The question for a file; content whose documents are all there need not be read again."""
        known = self.stamps.get(file.id, [])[2:] if self.documents(file) else []
        return Wanted(file.id, str(file.path), (file.size, file.mtime_ns), known=known[0] if known else "")

    def remember(self, file: FoundFile, content: Outcome) -> None:
        """Its documents are on the disk."""
        # A file too young for its stamp to be trusted is remembered by its content alone.
        self.stamps[file.id] = [*(file.stamp if content.settled else [0, 0]), content.sha256]


def _within(id: str, file: str | None, unread: Iterable[str]) -> bool:
    """Whether a document's file, or a folder above it, could not be read (wholly): then its absence means nothing."""
    return any(file == item or id.startswith(f"{item}/") for item in unread)
