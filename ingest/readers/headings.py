"""The sections around a block, while a document is read from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.documents import Block


class Headings:
    """Keeps the path of open headings. The first heading of level 1 is the document's title, not a section of it.

    A heading with nothing under it is said by a block of its own, so that its words are not lost.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        self._open: list[tuple[int, str]] = []
        self._seen = False
        self._bare: Block | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The open headings, outermost first."""
        return tuple(text for _, text in self._open)

    def enter(self, level: int, text: str, line: int | None = None, page: int | None = None) -> Iterator[Block]:
        """A heading begins a section; yields the one before it where that was empty and not its parent."""
        text = " ".join(text.split())
        first, self._seen = not self._seen, True
        if not text:
            return
        parent_level = self._open[-1][0] if self._open else 0
        if self._bare is not None and level <= parent_level:
            yield self._bare
        self._bare = None
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        if first and level == 1 and self.title in ("", text):
            self.title = text
        else:
            self._bare = Block(text, self.path, page, line)
            self._open.append((level, text))

    def place(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Blocks with text, set into the open sections."""
        for block in blocks:
            if block.text.strip():
                self._bare = None
                yield Block(block.text.strip("\n"), self.path, block.page, block.line, block.kind)

    def end(self) -> Iterator[Block]:
        """The last heading, where nothing came under it."""
        if self._bare is not None:
            yield self._bare
