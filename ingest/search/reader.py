"""Reads of the book for one search: the store, the full-text leg, and the passages behind the found chunks."""

from __future__ import annotations

import contextlib
import json
import queue
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import msgspec

from app.core.records import Passage, StoreInfo
from ingest.index import book_view
from ingest.index.book_view import Generation
from ingest.search.full_text import FullText
from ingest.search.words import Words

_TITLES = 4  # of each source, spread over the first
_LOOKED_AT = 64
_SAMPLE = 256
"""Vectors whose mean stands for "any passage" of a store."""


class Found(msgspec.Struct, frozen=True):
    """A chunk with its passage, the text that was indexed, and its vector (float32 bytes; empty where it has none)."""

    pk: int
    passage: Passage
    indexed: str
    vector: bytes


class Moment(msgspec.Struct, frozen=True):
    """How a store is embedded (None while it isn't), and the number of the book's newest change."""

    generation: Generation | None
    seq: int


class Reader:
    """One connection to the book with what hangs on it; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._book: sqlite3.Connection = book_view.connect(path)
        self.words = Words()
        self.full_text = FullText(self._book, self.words)
        self._counted: tuple[int, int] = (-1, 0)

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        """All reads inside see one moment of the book."""
        return book_view.snapshot(self._book)

    def store_id(self, store: str) -> int:
        """The store's number; StoreNotFound names the nearest."""
        return book_view.store_id(self._book, store)

    def moment(self, store: str) -> Moment:
        """How the store stands."""
        return Moment(book_view.generation(self._book, store), book_view.newest_seq(self._book))

    def changed_since(self, store: str, then: Moment) -> bool:
        """Whether any of the store's chunks came or went since; what happens to other stores is no change."""
        of = book_view.generation(self._book, store)
        return of != then.generation or (of is not None and book_view.changed_since(self._book, of.id, then.seq))

    def chunks(self) -> int:
        """Chunks of the whole book; counted again when another process has written."""
        version = int(self._book.execute("PRAGMA data_version").fetchone()[0])
        if self._counted[0] != version:
            self._counted = (version, int(self._book.execute("SELECT count(*) FROM chunks").fetchone()[0]))
        return self._counted[1]

    def stores(self) -> list[StoreInfo]:
        """Every store, by name."""
        titles = self._titles()
        rows = self._book.execute(
            """
            SELECT s.name, (SELECT count(*) FROM documents d WHERE d.store_id = s.id), count(c.pk), s.created_at,
                   coalesce(sum(length(CAST(c.text AS BLOB))), 0) + 4 * count(c.pk) * coalesce(max(g.dimensions), 0)
            FROM stores s LEFT JOIN chunks c ON c.store_id = s.id LEFT JOIN generations g ON g.store_id = s.id AND g.state = 'current'
            GROUP BY s.id ORDER BY s.name
            """
        )
        return [
            StoreInfo(name, documents, chunks, created_at, size, titles.get(name, ())) for name, documents, chunks, created_at, size in rows
        ]

    def _titles(self) -> dict[str, tuple[str, ...]]:
        """A few titles of each store, its sources by turns."""
        found: dict[str, list[list[str]]] = {}
        sources = list(self._book.execute("SELECT s.name, o.id FROM stores s JOIN sources o ON o.store_id = s.id ORDER BY o.id"))
        for store, source in sources:
            rows = self._book.execute(
                "SELECT title FROM documents WHERE source_id = ? AND title <> '' ORDER BY pk LIMIT ?", (source, _LOOKED_AT)
            )
            seen = list(dict.fromkeys(title for (title,) in rows))
            found.setdefault(store, []).append(seen[:: max(1, -(-len(seen) // _TITLES))])
        return {store: tuple(dict.fromkeys(filter(None, chain.from_iterable(zip_longest(*lists))))) for store, lists in found.items()}

    def found(self, store: str, of: Generation | None, pks: Sequence[int]) -> dict[int, Found]:
        """The passages of chunks, by pk; those deleted meanwhile are left out."""
        marks = ", ".join("?" * len(pks))
        rows = self._book.execute(
            f"""
            SELECT c.pk, c.id, c.text, c.heading, c.page, c.line, d.id, d.title, d.url, d.access, d.may_leave, d.attributes, s.name,
                   coalesce(v.vector, x'')
            FROM chunks c JOIN documents d ON d.pk = c.document_pk JOIN sources s ON s.id = d.source_id
            LEFT JOIN vectors v ON v.generation_id = ? AND v.text_hash = c.text_hash
            WHERE c.pk IN ({marks})
            """,  # noqa: S608 - question marks alone
            (of.id if of else None, *pks),
        )
        return {row[0]: _found(store, row) for row in rows}

    def background(self, of: Generation) -> array[float]:
        """The mean of some of the store's vectors: the same ones each time (text hashes have no order of their own)."""
        rows = self._book.execute("SELECT vector FROM vectors WHERE generation_id = ? ORDER BY text_hash LIMIT ?", (of.id, _SAMPLE))
        sample = [array("f", vector) for (vector,) in rows]
        return array("f", (sum(column) / len(sample) for column in zip(*sample, strict=True)))

    def close(self) -> None:
        """Let go of the book."""
        self._book.close()
        self.words.close()


def _found(store: str, row: tuple[object, ...]) -> Found:
    pk, id, text, heading, page, line, document_id, title, url, access, may_leave, attributes, source, vector = row
    passage = Passage(
        id=str(id),
        document_id=str(document_id),
        text=str(text),
        title=str(title),
        heading=str(heading),
        url=str(url),
        page=page if isinstance(page, int) else None,
        line=line if isinstance(line, int) else None,
        store=store,
        source=str(source),
        access=tuple(json.loads(str(access)) or ()),
        may_leave=bool(may_leave),
        attributes=json.loads(str(attributes)) or {},
    )
    assert isinstance(pk, int)
    assert isinstance(vector, bytes)
    return Found(pk, passage, f"{title}\n{heading}\n{text}", vector)


class Readers:
    """Readers that wait for their next use; made anew when the book's file was replaced by another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[tuple[object, Reader]] = queue.LifoQueue()

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """A reader for this thread. StoreNotFound where there is no book."""
        file = self._file()
        reader: Reader | None = None
        while reader is None:
            try:
                of, idle = self._idle.get_nowait()
            except queue.Empty:
                reader = Reader(self._path)
            else:
                if of == file:
                    reader = idle
                else:
                    idle.close()
        try:
            yield reader
        except sqlite3.DatabaseError:
            # The connection may be unusable (a damaged page, an unfinished transaction): the next search opens another.
            reader.close()
            raise
        except BaseException:
            self._idle.put((file, reader))
            raise
        else:
            self._idle.put((file, reader))

    def _file(self) -> object:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    def close(self) -> None:
        """Close those that wait."""
        while True:
            try:
                self._idle.get_nowait()[1].close()
            except queue.Empty:
                return
