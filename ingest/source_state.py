"""What a source remembers from one run to the next, and the mark of a run that came to its end.

The mark stands for what the store holds, so it is gone from the book before anything of the source changes there: a run that is
killed leaves none.
"""

from __future__ import annotations

from typing import Any

from ingest.book.writer import SourceRow, Writer

SETTLED = "settled"
LOOSE = "loose"
"""Where a source's state says that vectors were kept for documents that are not written yet."""
_FORGOTTEN = "forgotten"
_FILES = "files"


class SourceState:
    """One source's, for one run. `next` is its memory for the run after this one; `settled`: its mark as the last run left it."""

    def __init__(self, writer: Writer, source: SourceRow, *, reread: bool) -> None:
        self._writer, self._source = writer, source
        self.next: dict[str, Any] = {name: value for name, value in source.state.items() if name != SETTLED}
        self.settled: Any = None if reread else source.state.get(SETTLED)
        self._marked = SETTLED in source.state
        self._forgotten = set(self.next.get(_FORGOTTEN, ()))

    def remember(self, **parts: Any) -> None:
        """Write parts of the memory down at once: what they speak of happens next."""
        self.next |= parts
        self._source.state.update(parts)
        self._write()

    def unsettle(self) -> None:
        """Take the mark out of the book, where one is: what the store holds changes next."""
        if self._marked:
            self._marked = False
            self._write()

    def _write(self) -> None:
        kept = {name: value for name, value in self._source.state.items() if self._marked or name != SETTLED}
        self._writer.remember(self._source.id, kept)

    def forgotten(self, id: str) -> bool:
        """Whether the owner took this document out of the store while its source still has it."""
        return id in self._forgotten

    def recall_forgotten(self) -> None:
        """What was forgotten comes back: its files must be read again, so no file counts as known."""
        if self._forgotten:
            self._forgotten, self.settled = set(), None
            for name in (_FORGOTTEN, _FILES):
                self.next.pop(name, None)
