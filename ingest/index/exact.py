"""The vector leg without a server: the exact matrix in this process, for the command line."""

from __future__ import annotations

import asyncio
import threading

from app.core.paths import Home
from ingest.index import book_view
from ingest.index.book_view import Generation
from ingest.index.contract import GenerationChanged
from ingest.index.matrix import Matrix
from ingest.index.matrix_file import load
from ingest.search.visible import Restriction


class ExactVectors:
    """`VectorSearch` over the book, begun from the rows that a server's index worker left, if it did. Writes nothing."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._matrices: dict[str, Matrix] = {}
        self._lock = threading.Lock()

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first: see `VectorSearch`."""
        return await asyncio.to_thread(self._query, store, vector, limit, allowed, generation)

    def _query(self, store: str, vector: bytes, limit: int, allowed: Restriction | None, generation: str) -> list[tuple[int, float]]:
        with self._lock:
            book = book_view.connect(self._home.book)
            try:
                with book_view.snapshot(book):
                    of = book_view.generation(book, store)
                    if of is None:
                        return []
                    if generation not in ("", of.identity):
                        raise GenerationChanged()
                    matrix = self._matrix(of)
                    if not matrix.agrees(book):
                        matrix.clear()
                    # Another process prunes the outbox: only the keys themselves tell what was missed.
                    matrix.compare(book)
                    mask = None if allowed is None else matrix.mask(book_view.allowed_pks(book, of.store_id, allowed.sql, allowed.values))
                    return matrix.search(vector, limit, mask)
            finally:
                book.close()

    def _matrix(self, of: Generation) -> Matrix:
        if of.identity not in self._matrices:
            self._matrices[of.identity] = Matrix(of, load(self._home.index, of))
        return self._matrices[of.identity]
