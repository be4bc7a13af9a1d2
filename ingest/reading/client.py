"""Files are read in a process of their own: one that a file can crash, hang or fill, and that is then started anew.

Some files are asked for ahead, so that the process reads while the run embeds. Answers come in the order of the questions:
whatever ends the process, the oldest unanswered file was under its hands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ingest.documents import Document, Failed
from ingest.readers.contract import DEFAULT, Limits
from ingest.reading.refusals import Ended, reason
from ingest.reading.whole import failure
from ingest.reading.wire import Outcome, Wanted

if TYPE_CHECKING:
    from ingest.reading.process import ReadingProcess

AHEAD = 32
"""Files asked for before they are needed. Their answers wait in the pipe: it holds little, and the process waits with them."""
AHEAD_BYTES = 8_000_000
"""Of files that are sent as bytes."""

Told = Document | Failed | Outcome


class Reading:
    """A context: the process is started with the first file, and ended with the block. One thread uses it."""

    def __init__(self, logs: Path, limits: Limits = DEFAULT) -> None:
        self._logs, self._limits = logs, limits
        self._process: ReadingProcess | None = None
        self._next_id = 0
        self._unanswered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """The process under way."""
        return self._process.pid if self._process else None

    def read(self, wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, Told]]:
        """For each file in turn: its documents and failures, then one Outcome. Never an error of a file."""
        source, ahead = iter(wanted), deque[Wanted]()
        if self._unanswered:
            self._end()  # what an earlier reading, given up, has not taken belongs to nobody
        self._unanswered = True
        while True:
            while len(ahead) < AHEAD and sum(len(one.data or b"") for one in ahead) < AHEAD_BYTES:
                one = next(source, None)
                if one is None:
                    break
                ahead.append(one)
                if self._process is not None:
                    self._ask(one)
            if not ahead:
                self._unanswered = False
                return
            for told in self._first_of(ahead):
                yield ahead[0], told
            ahead.popleft()

    def _first_of(self, ahead: deque[Wanted]) -> Iterator[Told]:
        """The oldest question's answer, over as many processes as it takes."""
        passed = 0  # what was handed on already by a process that ended in the middle
        while True:
            alone = self._process is None
            process = self._process or self._started(ahead)
            try:
                for at, told in enumerate(_answer(process, self._limits.seconds)):
                    if at >= passed:
                        passed += 1
                        yield told
                    if isinstance(told, Outcome) and told.worn:
                        self._end()
            except Ended as end:
                self._process = None
                # A crash may be the fault of what came before: once more, in a new process. The limits of one file are its own.
                if end.why == "crashed" and not alone:
                    continue
                yield failure(ahead[0].id, reason(end, self._limits))
                yield Outcome()
            return

    def _started(self, ahead: Iterable[Wanted]) -> ReadingProcess:
        from ingest.reading.process import ReadingProcess  # here: a sync in which nothing changed needs no process

        self._process = ReadingProcess(self._logs, self._limits)
        for one in ahead:
            self._ask(one)
        return self._process

    def _ask(self, wanted: Wanted) -> None:
        assert self._process is not None, "asked of a process"
        self._next_id += 1
        self._process.ask(self._next_id, wanted)

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


def _answer(process: ReadingProcess, seconds: float) -> Iterator[Told]:
    """One answer to its end, in at most so many seconds of waiting for it."""
    outcome: Outcome | None = None
    while outcome is None:
        portion, waited = process.next(seconds)
        seconds -= waited
        yield from portion.documents
        yield from portion.failed
        outcome = portion.outcome
    yield outcome
