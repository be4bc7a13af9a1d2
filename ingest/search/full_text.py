"""The full-text leg over `chunk_text`: BM25, limited to one store and to what the asker may see.

All stores share one table, so a word's frequency is that of the whole book; the limit is of the one store.
"""

from __future__ import annotations

import sqlite3

from ingest.index.book_view import allowed_pks
from ingest.search.lexical import query_match
from ingest.search.relevance import Term
from ingest.search.visible import Restriction
from ingest.search.words import Words

LONGEST = 64
"""Words of a question that are looked up: what follows in a pasted page is not asked."""
STEADY = 1_000
"""From this many chunks on, a word's frequency is remembered until the book has changed by a fiftieth."""

_REMEMBERED = 8
"""Restrictions whose chunks are remembered: at 100,000 chunks up to 6 MB each."""


class FullText:
    """On one connection to the book, for one thread at a time."""

    def __init__(self, book: sqlite3.Connection, words: Words) -> None:
        self._book, self._words = book, words
        self._book.execute("CREATE VIRTUAL TABLE temp.chunk_words USING fts5vocab(main, chunk_text, 'row')")
        self._frequent: dict[str, int] = {}
        self._last_pk = 0
        self._remembered: dict[tuple[int, Restriction | None], tuple[int, frozenset[int]]] = {}

    def terms(self, question: str) -> list[Term]:
        """The question's words with the number of chunks that hold each."""
        self._forget_frequencies()
        words = self._words.of_question(question)[:LONGEST]
        return [Term(word, stems, min(self._chunks_with(stem) for stem in stems)) for word, stems in words]

    def _forget_frequencies(self) -> None:
        last = int(self._book.execute("SELECT max(pk) FROM chunks").fetchone()[0] or 0)
        if abs(last - self._last_pk) > self._last_pk / 50:
            self._frequent.clear()
            self._last_pk = last

    def _chunks_with(self, stem: str) -> int:
        if stem in self._frequent:
            return self._frequent[stem]
        row = self._book.execute("SELECT doc FROM temp.chunk_words WHERE term = ?", (stem,)).fetchone()
        found = int(row[0]) if row else 0
        if found >= STEADY:
            self._frequent[stem] = found
        return found

    def search(self, terms: list[Term], store_id: int, limit: int, allowed: Restriction | None) -> list[tuple[int, float]]:
        """(chunk pk, score) best first, at most `limit`."""
        match = query_match(terms)
        if not match:
            return []
        if allowed is None:
            found = self._best(match, store_id, limit)
            if found is not None:
                return found
        # Which chunks may be seen is known before the ranking: to ask the documents row by row takes twice as long.
        visible = self._visible(store_id, allowed)
        kept: list[tuple[int, float]] = []
        # Where few may be seen, the book's best are seldom among them: one look at all instead of two.
        for wide in (4 * limit, -1) if 2 * len(visible) > self._last_pk else (-1,):
            ranked = self._ranked(match, wide)
            kept = [(pk, score) for pk, score in ranked if pk in visible][:limit]
            if len(kept) == limit or len(ranked) < wide:
                break
        return kept

    def _best(self, match: str, store_id: int, limit: int) -> list[tuple[int, float]] | None:
        """Rank the whole book first and look at stores afterwards: quicker, where this store holds most of the best.

        None where the store's own `limit` best can't be known from them.
        """
        wide = 4 * limit
        ranked = self._ranked(match, wide)
        marks = ", ".join("?" * len(ranked))
        rows = self._book.execute(
            f"SELECT pk FROM chunks WHERE store_id = ? AND pk IN ({marks})",  # noqa: S608 - question marks alone
            (store_id, *(pk for pk, _ in ranked)),
        )
        mine = {pk for (pk,) in rows}
        found = [(pk, score) for pk, score in ranked if pk in mine][:limit]
        return found if len(found) == limit or len(ranked) < wide else None

    def _ranked(self, match: str, limit: int) -> list[tuple[int, float]]:
        """The best of the whole book; all of them for a limit of -1."""
        rows = self._book.execute("SELECT rowid, rank FROM chunk_text WHERE chunk_text MATCH ? ORDER BY rank LIMIT ?", (match, limit))
        return [(pk, -score) for pk, score in rows]

    def _visible(self, store_id: int, allowed: Restriction | None) -> frozenset[int]:
        """The store's chunks that may be seen, remembered until another process has written."""
        version = int(self._book.execute("PRAGMA data_version").fetchone()[0])
        key = store_id, allowed
        remembered = self._remembered.pop(key, None)
        if remembered is None or remembered[0] != version:
            condition, values = (allowed.sql, allowed.values) if allowed else ("1", ())
            remembered = version, frozenset(allowed_pks(self._book, store_id, condition, values))
        self._remembered[key] = remembered
        if len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return remembered[1]
