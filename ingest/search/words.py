"""Texts as FTS5 itself cuts and stems them: a small table in memory with the tokenizer of the book's full-text table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

from ingest.book.schema import FULL_TEXT
from ingest.search.lexical import index_terms

_WORD = re.compile(r"\w+")


class Words:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._memory.execute(FULL_TEXT)
        self._memory.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(chunk_text, 'instance')")

    def stems(self, texts: Sequence[str]) -> list[list[str]]:
        """The stems of each text in their order."""
        found: list[list[tuple[int, str]]] = [[] for _ in texts]
        self._memory.execute("BEGIN")
        try:
            self._memory.executemany("INSERT INTO chunk_text (rowid, terms) VALUES (?, ?)", enumerate(texts, 1))
            for stem, row, offset in self._memory.execute("SELECT term, doc, offset FROM stems"):
                found[row - 1].append((offset, stem))
        finally:
            self._memory.execute("ROLLBACK")
        return [[stem for _, stem in sorted(text)] for text in found]

    def of_question(self, text: str) -> list[tuple[str, tuple[str, ...]]]:
        """The question's distinct words, each with its stems (several where FTS5 cuts finer than we do), in their order."""
        words = list(dict.fromkeys(_WORD.findall(index_terms(text).lower())))
        by_stems: dict[tuple[str, ...], str] = {}
        for word, stems in zip(words, self.stems(words), strict=True):
            if stems:
                by_stems.setdefault(tuple(stems), word)
        return [(word, stems) for stems, word in by_stems.items()]

    def of_passages(self, texts: Sequence[str]) -> list[frozenset[str]]:
        """The distinct stems of each passage."""
        return [frozenset(stems) for stems in self.stems([index_terms(text) for text in texts])]

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
