"""What the reading process is asked, and what it tells; the frames themselves are those of `app.core.workers`."""

from __future__ import annotations

import msgspec

from ingest.documents import Document, Failed


class Wanted(msgspec.Struct, frozen=True):
    """A file to be read: from `path` (as the system spells it), or from `data` where it lies on no disk of this machine.

    `stamp` is size and time as they were found; `known` is the hash of the content whose documents the store holds: the same
    content is not read again. `refused`: why its bytes could not be had; it is answered in its turn as a failure.
    """

    id: str
    path: str
    stamp: tuple[int, int]
    known: str = ""
    data: bytes | None = None
    refused: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """The end of a file. `sha256` is empty where its bytes could not be had; `settled`: its stamp may stand for them from now on.

    `worn`: this process has grown, and ends itself.
    """

    sha256: str = ""
    settled: bool = False
    same: bool = False
    worn: bool = False


class Portion(msgspec.Struct, frozen=True):
    """Some of a file's documents and failures; the last one carries the outcome."""

    documents: list[msgspec.Raw] = []
    failed: list[Failed] = []
    outcome: Outcome | None = None


class Received(msgspec.Struct, frozen=True):
    """A `Portion` on the other side."""

    documents: list[Document] = []
    failed: list[Failed] = []
    outcome: Outcome | None = None


class Answer(msgspec.Struct, frozen=True):
    """A reply's frame of which the body waits until its kind is known."""

    id: int
    kind: str
    body: msgspec.Raw = msgspec.Raw()
