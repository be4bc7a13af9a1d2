"""Token bytes become text that may be shown: whole characters only, and never a part of a stop string.

A token may end in the middle of a character, and a stop string may lie over several tokens. So bytes wait until their
character is whole, and the longest end of the text that could begin a stop string waits until it is known not to. The
stop string that is complete first ends the text; it is not handed out, nor is anything after it. The result depends on
the bytes alone, not on where they were cut.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable


class TextStream:
    """One answer's text on its way out. `stopped` turns true when a stop string was found."""

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self._stop = tuple(word for word in stop if word)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """Take the next bytes in; returns the text that is now certain (often empty, never after `stopped`)."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data)
        if not self._stop:
            return text
        if (cut := _stop_at(text, self._stop)) is not None:
            self.stopped, self._held = True, ""
            return text[:cut]
        keep = _could_begin(text, self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The end of the answer: what was held back as a possible stop string. A character cut in half is dropped."""
        text, self._held = self._held, ""
        return text


def _stop_at(text: str, stop: tuple[str, ...]) -> int | None:
    """Where the stop string starts that is complete first; of two that end together, the longer one."""
    found = [(at + len(word), at) for word in stop if (at := text.find(word)) >= 0]
    return min(found)[1] if found else None


def _could_begin(text: str, stop: tuple[str, ...]) -> int:
    """How many characters at the end of `text` are the beginning of a stop string."""
    longest = min(len(text), max(map(len, stop)) - 1)
    return next((size for size in range(longest, 0, -1) if any(word.startswith(text[-size:]) for word in stop)), 0)
