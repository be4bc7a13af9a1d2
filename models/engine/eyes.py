"""The projector's thread: pictures become rows beside the engine's own work.

One picture at a time, the first that is wanted; a picture that nobody wants any more is left at its next part. What was seen is kept
while there is room, so that the next turn of a chat, or the same picture in another one, costs nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from app.core.errors import OndolError, foreign
from models.engine import pixels
from models.engine.images import Picture, run
from models.engine.pixels import Pixels
from models.engine.sight import Sight, Span

log = logging.getLogger(__name__)
MEMORY = 256 << 20  # bytes of rows that are kept
LAYOUTS = 256  # pictures whose tokens are remembered
Words = list[int]


class Projector(Protocol):
    """What is asked of it (`models.engine.llama.images.Projector`)."""

    threads: int

    def layout(self, width: int, height: int) -> list[Words | Span]:
        """Words and spans of a picture of that size; the spans stand nowhere yet."""
        ...

    def see(self, picture: Pixels) -> Iterator[Any]:
        """The rows of its spans, one after the other, as float32 arrays."""
        ...


class Eyes:
    """Over a projector, which is used by its thread alone but for `layout`. `close` ends it."""

    def __init__(self, projector: Projector, *, memory: int = MEMORY) -> None:
        self._projector, self._memory, self.threads = projector, memory, projector.threads
        self._layouts: OrderedDict[bytes, Sight] = OrderedDict()
        self._seen: OrderedDict[bytes, list[Any]] = OrderedDict()
        self._failed: dict[bytes, OndolError] = {}
        self._wanted: list[Picture] = []
        self._now: bytes | None = None
        self._closed = False
        self.looked = 0  # pictures that were computed
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="eyes", daemon=True)
        self._thread.start()

    def sight(self, picture: Picture) -> Sight:
        """Its tokens, at once: by its size alone. BadRequest where it is no picture that can be read. For one thread."""
        found = self._layouts.get(picture.digest)
        if found is None:
            found = _placed(self._projector.layout(*pixels.size(picture.data)), Picture(b"", picture.digest))
            self._layouts[picture.digest] = found
            while len(self._layouts) > LAYOUTS:
                self._layouts.popitem(last=False)
        # The layouts outlive the file, which the spans of a request hold.
        return Sight(found.tokens, tuple(span._replace(picture=picture) for span in found.spans))

    @property
    def busy(self) -> bool:
        """Whether a picture is computed now."""
        return self._now is not None

    def want(self, pictures: Sequence[Picture]) -> None:
        """These alone are wanted, the first most of all."""
        if not pictures and not self._wanted:
            return
        with self._changed:
            self._wanted = list(pictures)
            digests = {picture.digest for picture in pictures}
            self._failed = {digest: error for digest, error in self._failed.items() if digest in digests}
            self._changed.notify()

    def rows(self, span: Span) -> Any:
        """The rows of a span; None while they are not there. OndolError where they will never be."""
        with self._changed:
            if (error := self._failed.get(span.picture.digest)) is not None:
                raise error
            seen = self._seen.get(span.picture.digest)
            if seen is None:
                return None
            self._seen.move_to_end(span.picture.digest)
            if span.number >= len(seen) or len(seen[span.number]) != span.length:
                raise OndolError("The projector made something else of a picture than it said.")
            return seen[span.number]

    def close(self) -> None:
        """Wait for the part that is computed now, and end."""
        with self._changed:
            self._closed = True
            self._wanted = []
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (picture := self._next()) is not None:
            try:
                rows = self._look(picture)
            # Whatever is wrong with one picture concerns those who sent it.
            except Exception as error:
                if not isinstance(error, OndolError):
                    log.error("a picture could not be seen", exc_info=error)
                with self._changed:
                    self._failed[picture.digest], self._now = foreign(error), None
                continue
            with self._changed:
                self._now = None
                if rows is not None:
                    self.looked += 1
                    self._seen[picture.digest] = rows
                    self._bound()

    def _next(self) -> Picture | None:
        with self._changed:
            while not self._closed:
                for picture in self._wanted:
                    if picture.digest not in self._seen and picture.digest not in self._failed:
                        self._now = picture.digest
                        return picture
                self._changed.wait()
            return None

    def _look(self, picture: Picture) -> list[Any] | None:
        """The rows of all spans; None where it isn't wanted any more."""
        rows = []
        for part in self._projector.see(pixels.pixels(picture.data)):
            rows.append(part)
            if all(picture.digest != wanted.digest for wanted in self._wanted):
                return None
        return rows

    def _bound(self) -> None:
        """What was looked at longest ago leaves, never the last."""
        while len(self._seen) > 1 and sum(part.nbytes for rows in self._seen.values() for part in rows) > self._memory:
            self._seen.popitem(last=False)


def _placed(parts: Sequence[Words | Span], picture: Picture) -> Sight:
    """Words and spans in one row of tokens."""
    tokens: list[int] = []
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Span):
            spans.append(part._replace(start=len(tokens), picture=picture, number=len(spans)))
            tokens += run(picture.digest, len(spans) - 1, part.length)
        else:
            tokens += part
    return Sight(tokens, tuple(spans))
