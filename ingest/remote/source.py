"""A folder in an object store as a source: listed whole, downloaded object by object, read as files are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from app.core.errors import ItemError, UpstreamError
from ingest.documents import Failed
from ingest.file_source import fill_from_files
from ingest.files import FoundFile, Walked
from ingest.readers.contract import Limits, suffix_of, too_large
from ingest.readers.registry import Readers
from ingest.reading.client import Reading
from ingest.reading.whole import failure
from ingest.reading.wire import Wanted
from ingest.remote.address import Address
from ingest.remote.bucket import Bucket, Object
from ingest.run import Run

AT_ONCE, AT_ONCE_BYTES = 8, 16_000_000
"""Downloads under way ahead of their reading: so many, and of so many bytes together."""
GIVEN_UP_AFTER = 10
"""Downloads that fail in a row before the bucket counts as out of reach."""


@dataclass(frozen=True)
class FoundObject(FoundFile):
    """An object that some reader knows. Its time is left out: it is whole or not there, and `etag` tells that it was changed."""

    object: Object

    @property
    def stamp(self) -> list[int | str]:
        """What is compared to see that it was not touched."""
        return [self.object.size, self.object.version]

    @property
    def version(self) -> str:
        """The same as a word."""
        return f"{self.object.size} {self.object.version}"


@dataclass(frozen=True)
class Objects:
    """A bucket that was listed."""

    bucket: Bucket
    walked: Walked

    @property
    def name(self) -> str:
        """The address in its one form."""
        return self.bucket.address.name

    def fill(self, run: Run, reading: Reading, limits: Limits) -> None:
        """Bring the store's documents in line with the objects. UpstreamError: one download after the other failed."""
        objects = {file.id: file.object for file in self.walked.files if isinstance(file, FoundObject)}
        fill_from_files(run, self.walked, reading, bring=partial(_brought, self.bucket, objects, limits))


def look_into(address: Address, readers: Readers) -> Objects:
    """What there is to read under the address, hidden names left out. ItemError, NotFound, UpstreamError: it can't be listed."""
    bucket = Bucket(address)
    files: dict[str, FoundFile] = {}
    failed: list[Failed] = []
    skipped = 0
    for object in bucket.objects():
        name = object.key.rsplit("/", 1)[-1]
        below = object.key.removeprefix(bucket.address.prefix).strip("/") or name
        if any(part.startswith((".", "~$")) for part in below.split("/")):
            continue
        id = bucket.address.id(object.key)
        if not readers.can_read(suffix_of(name)):
            skipped += object.size > 0  # consoles keep empty folders as objects without bytes
        elif id in files:
            failed.append(Failed(id, f"{id} has the same name as another object, in another Unicode form. Rename one of them."))
        else:
            files[id] = FoundObject(id, Path(), object.size, 0, object)
    return Objects(bucket, Walked(tuple(sorted(files.values(), key=lambda file: file.id)), tuple(failed), skipped, folder=True))


def _brought(bucket: Bucket, objects: dict[str, Object], limits: Limits, questions: Iterable[Wanted]) -> Iterator[Wanted]:
    """The questions with the bytes in them, some downloads ahead."""
    source = iter(questions)
    under_way: deque[tuple[Wanted, Future[bytes]]] = deque()
    failed_in_a_row = 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket") as downloads:
        try:
            while True:
                while len(under_way) < AT_ONCE and sum(objects[one.id].size for one, _ in under_way) < AT_ONCE_BYTES:
                    question = next(source, None)
                    if question is None:
                        break
                    under_way.append((question, downloads.submit(_bytes, bucket, objects[question.id], limits.file_bytes)))
                if not under_way:
                    return
                question, download = under_way.popleft()
                try:
                    yield msgspec.structs.replace(question, data=download.result())
                    failed_in_a_row = 0
                except ItemError as error:
                    failed_in_a_row += 1
                    told = failure(question.id, error).reason
                    if failed_in_a_row >= GIVEN_UP_AFTER:
                        raise UpstreamError(f"{bucket.address.name} is out of reach: {told}", hint="Sync it again later.") from None
                    yield msgspec.structs.replace(question, refused=told)
        finally:
            for _, download in under_way:
                download.cancel()


def _bytes(bucket: Bucket, object: Object, limit: int) -> bytes:
    if object.size > limit:
        raise too_large(limit)
    return bucket.bytes(object, limit)
