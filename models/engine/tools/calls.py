"""An answer's text on its way out, with the tool calls in it told apart: a mark begins one, a family's reader reads it. Pure.

Half a mark is never shown: the longest end of the text that could begin one waits, and so do blanks, which are dropped before a
call. A mark in code, and one that no call of a known function follows, is text. The result depends on the text alone, not on where
it was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.engine.grammar.rule import in_code
from models.engine.speech import Said
from models.engine.tools.parts import Reader, could_begin

MakeReader = Callable[[], Reader]


class Calls:
    """`readers` by the marks that begin calls; `bare` reads an answer that begins with a brace."""

    def __init__(self, readers: Mapping[str, MakeReader], bare: MakeReader | None = None) -> None:
        self._readers, self._bare = readers, bare
        self._reader: Reader | None = None
        self._read = ""
        self._held = self._text = self._blanks = ""
        self._begun = self._called = self._behind = False

    def feed(self, text: str) -> Said:
        """Take the next text in."""
        self._held += text
        said = Said()
        while (more := self._step()) is not None:
            said += more
        return said

    def finish(self) -> Said:
        """The end: what was held back. A call that was cut off before its name was known is text."""
        held, self._held = self._held, ""
        if self._reader is not None:
            return Said() if self._called else Said(self._read)
        return Said(held)

    def _step(self) -> Said | None:
        """One step on; None where more text is needed."""
        if self._reader is not None:
            return self._reading()
        if not self._begun and self._bare is not None:
            blanks = len(self._held) - len(self._held.lstrip())
            if blanks == len(self._held):
                return None
            if self._held[blanks] == "{":
                return self._open(self._bare(), blanks, blanks)
        return self._plain()

    def _plain(self) -> Said | None:
        if self._behind:
            # Blanks between calls, and behind them, are no text.
            self._held = self._held.lstrip()
            if not self._held:
                return None
            # Text goes on behind a call as it would have without it.
            self._held, self._behind = self._blanks + self._held if self._text else self._held, False
        found = [(at, -len(mark), mark) for mark in self._readers if (at := self._held.find(mark)) >= 0]
        if not found:
            keep = could_begin(self._held, self._readers)
            sure = self._held[: len(self._held) - keep].rstrip()
            self._held = self._held[len(sure) :]
            return self._show(sure) if sure else None
        at, _, mark = min(found)
        if in_code(self._text + self._held[:at]):
            sure, self._held = self._held[: at + len(mark)], self._held[at + len(mark) :]
            return self._show(sure)
        return self._open(self._readers[mark](), at, at + len(mark))

    def _open(self, reader: Reader, at: int, behind: int) -> Said:
        before = self._held[:at].rstrip()
        self._read, self._held = self._held[len(before) : behind], self._held[behind:]
        self._blanks = self._read[: at - len(before)] or self._blanks
        self._reader, self._begun, self._called = reader, True, False
        return self._show(before)

    def _reading(self) -> Said | None:
        assert self._reader is not None
        if not self._held:
            return None
        text, self._held = self._held, ""
        self._read += text
        parts = tuple(self._reader.feed(text))
        self._called = self._called or bool(parts)
        rest = self._reader.rest
        if rest is None:
            return Said(calls=parts)
        self._reader = None
        if self._called:
            self._held, self._behind = rest, True
            return Said(calls=parts)
        read, self._read = self._read, ""
        # Its mark began no call: it is shown, and what follows it is looked at again.
        mark = next((mark for mark in self._readers if read.lstrip().startswith(mark)), "{")
        size = len(read) - len(read.lstrip()) + len(mark)
        self._held = read[size:]
        return self._show(read[:size])

    def _show(self, text: str) -> Said:
        self._text += text
        self._begun = self._begun or bool(text.strip())
        return Said(text)
