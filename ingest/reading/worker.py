"""The reading process: it opens one file after another and hands out what their readers find. It may crash; it holds nothing.

Its memory is limited by the system where that counts rightly (Linux); the parent watches it everywhere. It reaches no network:
a document that asks for one (an external entity, a linked picture) gets none.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from app.core.errors import ItemError
from app.core.workers.child import Channel
from ingest.documents import Failed
from ingest.files import FoundFile, checked, load
from ingest.readers.contract import FileContent, Limits
from ingest.readers.registry import Readers
from ingest.reading.bounded import portions
from ingest.reading.refusals import too_much_memory
from ingest.reading.whole import failure, read_whole
from ingest.reading.wire import Outcome, Portion, Wanted

WORN = 0.25
"""A process that keeps this share of its memory limit after a file is replaced before the next one."""


def main() -> None:
    """Answer until the parent closes the pipe."""
    faulthandler.enable()
    with Channel.open() as channel:
        limits = msgspec.convert(channel.settings["limits"], Limits)
        limit_memory(limits.memory_bytes)
        myself, readers = psutil.Process(), Readers()
        channel.hello()
        while (call := channel.get()) is not None:
            limit_processor(limits.seconds)
            waiting: Portion | None = None
            for portion in answer(msgspec.convert(call.body, Wanted), readers, limits):
                if waiting is not None:
                    channel.item(call.id, waiting)
                waiting = portion
            assert waiting is not None, "an answer ends with its outcome"
            assert waiting.outcome is not None, "an answer ends with its outcome"
            worn = waiting.outcome.worn or myself.memory_info().rss > WORN * limits.memory_bytes
            channel.done(call.id, msgspec.structs.replace(waiting, outcome=msgspec.structs.replace(waiting.outcome, worn=worn)))
            if worn:
                return


def answer(wanted: Wanted, readers: Readers, limits: Limits) -> Iterator[Portion]:
    """What the file holds, in portions, the last one with the outcome."""
    if wanted.refused:
        yield Portion(failed=[Failed(wanted.id, wanted.refused)], outcome=Outcome())
        return
    file = FoundFile(wanted.id, Path(wanted.path), *wanted.stamp)
    try:
        content = load(file, limits.file_bytes) if wanted.data is None else checked(wanted.data, limits.file_bytes)
    except ItemError as error:
        yield Portion(failed=[failure(wanted.id, error)], outcome=Outcome())
        return
    if content.sha256 == wanted.known:
        yield Portion(outcome=Outcome(content.sha256, content.settled, same=True))
        return
    last = Portion()
    try:
        for portion in portions(wanted.id, read_whole(FileContent(wanted.id, content.data, limits=limits), readers), limits):
            if last.documents or last.failed:
                yield last
            last = portion
    except MemoryError:
        yield Portion(failed=[failure(wanted.id, too_much_memory(limits))], outcome=Outcome(worn=True))
        return
    yield msgspec.structs.replace(last, outcome=Outcome(content.sha256, content.settled))


if sys.platform == "win32":

    def limit_memory(limit: int) -> None:
        """The parent's watch is what there is."""

    def limit_processor(seconds: float) -> None:
        """The parent's watch is what there is."""
else:
    import resource

    PROCESSORS = psutil.cpu_count() or 1

    def limit_memory(limit: int) -> None:
        """Allocations above `limit` bytes fail, where the system counts what is really taken and not what is reserved: on Linux."""
        if sys.platform == "linux":
            _lower(resource.RLIMIT_DATA, limit)

    def limit_processor(seconds: float) -> None:
        """So much work for the next file: a process whose parent was killed ends even where its reader lets no thread run."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds * PROCESSORS) + 1)

    def _lower(what: int, soft: int) -> None:
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
