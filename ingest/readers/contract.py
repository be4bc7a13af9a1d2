"""What a reader is: bytes of one file in, documents out. No reader opens files, so each is tested with a value.

A reader registers its file suffix through the entry point group `ondol.readers`:

    [project.entry-points."ondol.readers"]
    md = "ingest.readers.markdown:MarkdownReader"

A file that holds other files (an archive, a mail with attachments) has a `Container` instead: `unpack` hands the files out, and
the caller has each read by the reader of its suffix, within the same limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from app.core.errors import ItemError
from ingest.documents import Document, Failed

TESSERACT = "ONDOL_INGEST__TESSERACT"
"""The environment tells readers, which run in processes of their own, which program the setting `ingest.tesseract` names."""


class Limits(msgspec.Struct, frozen=True):
    """How much one file may take. Its reader runs in a process of its own that is ended above `seconds` or `memory_bytes`.

    Readers need not count either; but one that goes page by page stops above `pages`, and one that inflates stops above
    `unpacked_bytes` (inside a container that is what the files before it have left) instead of running into the former two.
    """

    file_bytes: int = 50_000_000
    seconds: float = 120.0
    memory_bytes: int = 2_000_000_000
    pages: int = 5_000
    unpacked_bytes: int = 1_000_000_000
    depth: int = 5
    """Containers inside one another."""
    inner_files: int = 20_000
    documents: int = 2_000_000
    characters: int = 200_000_000
    """Of all documents of the file together."""
    failures: int = 100
    """Records, pages and inner files that can't be read and are told one by one; of the others their number is told."""


DEFAULT = Limits()


class FileContent(msgspec.Struct, frozen=True):
    """A file as a reader gets it. `id` is its absolute path with forward slashes, in NFC; inside a container `outer id#inner path`.

    `name` is given for inner files alone: the id can't tell, for a `#` may stand in any file's name.
    """

    id: str
    data: bytes
    name: str = ""
    limits: Limits = DEFAULT

    @property
    def file_name(self) -> str:
        """The name without folders."""
        return self.name or self.id.rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The file's name without its last suffix: the title where the content has none."""
        return self.file_name.rsplit(".", 1)[0] or self.file_name

    @property
    def suffix(self) -> str:
        """Lower case, without the dot; empty where the name has none."""
        return suffix_of(self.file_name)

    def inner(self, path: str, data: bytes) -> FileContent:
        """A file inside this one, by its path there (forward slashes)."""
        return FileContent(f"{self.id}#{path}", data, path.rsplit("/", 1)[-1] or path, self.limits)


class Spent(ItemError):
    """The outermost file is read no further: what lies in it takes more than it may, or was made to do so."""


class Packed(msgspec.Struct, frozen=True):
    """A file inside a container that is not unpacked yet. `take(n)` gives its first n bytes, or all where there are fewer."""

    path: str
    take: Callable[[int], bytes]


def suffix_of(name: str) -> str:
    """The suffix of a file's name, lower case, without the dot; a name that only begins with a dot has none."""
    return name.rpartition(".")[2].lower() if "." in name.lstrip(".") else ""


def too_large(limit: int) -> ItemError:
    """The error for a file of more bytes than it may have."""
    return ItemError(f"is larger than {limit / 1_000_000:g} MB.", hint="Split it, or raise ingest.max_file_megabytes in the configuration.")


def too_large_unpacked(limit: int) -> Spent:
    """The error for a file that unpacks to more than it may."""
    return Spent(
        f"unpacks to more than {limit / 1_000_000:g} MB.",
        hint="Unpack it into a folder, or raise ingest.max_unpacked_megabytes in the configuration.",
    )


class Reader(Protocol):
    """Made without arguments; one reader reads many files, one after the other.

    Raises `ItemError` where the file as a whole can't be read; yields `Failed` for a record or page that can't, and goes on.
    A file of one document takes the file's id; a record inside it `file id#record id`.
    """

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """The file's documents, in its order."""
        ...


class Container(Protocol):
    """A reader of files that hold other files. It opens each only when it is asked for the next one, and names them by `file.inner`.

    What it can read itself (a mail's own text) it yields as documents. Inner files of a kind that no reader knows are passed
    over: it may yield them all the same. Where unpacking is work, it yields `Packed`: only what can be read is taken, within what
    is left of the limits, and an ItemError of `take` is that inner file's.
    """

    def unpack(self, file: FileContent) -> Iterator[FileContent | Packed | Document | Failed]:
        """The inner files and the file's own documents, in its order. Errors as a `Reader`'s."""
        ...
