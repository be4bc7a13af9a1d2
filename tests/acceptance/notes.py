"""A table of long notes, each of whose chunks says which note it is of, in which edition, and which part of how many."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg

MOST = 240
"""Notes that the table may hold."""
# Long words of few tokens: a chunk of 300 letters is quickly embedded.
WORDS = (
    "architecture",
    "championship",
    "construction",
    "democratic",
    "distribution",
    "environmental",
    "independence",
    "international",
    "manufacturing",
    "neighborhood",
    "parliamentary",
    "professional",
    "relationship",
    "transportation",
    "understanding",
)
_MARK = re.compile(r"note(\d+) \S+ edition(\d+) part(\d+)of(\d+)\b")
Parts = tuple[str, ...]


class Mark(NamedTuple):
    """What a chunk says of itself."""

    note: int
    edition: int
    part: int
    of: int


def mark(text: str) -> Mark:
    """A chunk's own mark; a chunk has exactly one."""
    (found,) = _MARK.findall(text)
    return Mark(*map(int, found))


def korean(note: int) -> str:
    """A note's name in letters that the embedder can't read: a question for it waits for no vector."""
    return chr(0xAC00 + 28 * note) + chr(0xAC00 + 28 * note + 4)


class Notes:
    """The table, and what it says now: the text of each note by its number."""

    def __init__(self, table: psycopg.Connection, chance: random.Random) -> None:
        self._table, self._chance = table, chance
        self.rows: dict[int, Parts] = {}
        self.touched: Sequence[int] = ()
        self._editions = 0
        table.execute("DROP TABLE IF EXISTS notes")
        table.execute("CREATE TABLE notes (id integer PRIMARY KEY, body text NOT NULL)")

    def change(self, put: int, gone: int) -> None:
        """So many notes come or get another edition, so many go, in one transaction."""
        written = {note: self._parts(note) for note in self._chance.sample(range(MOST), put)}
        lost = self._chance.sample(sorted(self.rows.keys() - written.keys()), min(gone, len(self.rows.keys() - written.keys())))
        with self._table.transaction(), self._table.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO notes VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                [(note, "\n\n".join(parts)) for note, parts in written.items()],
            )
            cursor.execute("DELETE FROM notes WHERE id = ANY(%s)", [lost])
        self.rows = {note: parts for note, parts in (self.rows | written).items() if note not in lost}
        self.touched = (*written, *lost)

    def _parts(self, note: int) -> Parts:
        self._editions += 1
        of = self._chance.randint(2, 8)
        return tuple(
            f"note{note} {korean(note)} edition{self._editions} part{part}of{of} " + " ".join(self._chance.choices(WORDS, k=19))
            for part in range(1, of + 1)
        )


def looking(book: Path) -> sqlite3.Connection:
    """A connection to the book that only reads."""
    return sqlite3.connect(f"file:{book}?mode=ro", uri=True, isolation_level=None, timeout=30, check_same_thread=False)


def editions(book: sqlite3.Connection) -> dict[int, int]:
    """Which edition of each note the book holds at this moment."""
    firsts = book.execute("SELECT c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk AND c.ordinal = 0").fetchall()
    return {one.note: one.edition for one in (mark(text) for (text,) in firsts)}


def held(path: Path) -> dict[int, Parts]:
    """What the book holds: every note whole and once, every chunk with its vector and its words."""
    book = looking(path)
    try:
        book.execute("BEGIN")
        found = book.execute(
            "SELECT d.id, c.text, (SELECT count(*) FROM vectors v WHERE v.text_hash = c.text_hash),"
            " (SELECT count(*) FROM chunk_text t WHERE t.rowid = c.pk)"
            " FROM documents d LEFT JOIN chunks c ON c.document_pk = d.pk ORDER BY d.id, c.ordinal"
        ).fetchall()
        assert book.execute("SELECT count(*) FROM chunk_text").fetchone() == book.execute("SELECT count(*) FROM chunks").fetchone()
        assert book.execute("SELECT count(*) FROM documents").fetchone() == (len({id for id, *_ in found}),)
    finally:
        book.close()
    assert all((vectors, lexical) == (1, 1) for _, _, vectors, lexical in found)
    notes: dict[int, list[str]] = {}
    for id, text, *_ in found:
        notes.setdefault(int(id.rsplit("/", 1)[-1]), []).append(text.split("\n")[0])
    return {note: tuple(parts) for note, parts in notes.items()}


def faults(asked: int, answer: Iterable[Mark], before: Mapping[int, int], after: Mapping[int, int], gone: Mapping[int, int]) -> list[str]:
    """What one answer to a question for one note shows that it must not.

    `before` and `after`: the editions that the book held just before the question and just after the answer; `gone`: the newest edition
    that was ever seen of notes that it did not hold before.
    """
    shown: dict[int, list[Mark]] = {}
    for one in answer:
        shown.setdefault(one.note, []).append(one)
    found: list[str] = []
    for note, marks in shown.items():
        seen = {one.edition for one in marks}
        least = before.get(note, gone.get(note, 0) + 1)
        if len(seen) > 1:
            found.append(f"note {note} in two editions: {sorted(marks)}")
        if len(set(marks)) != len(marks):
            found.append(f"note {note} doubled: {sorted(marks)}")
        if min(seen) < least:
            found.append(f"note {note} in edition {min(seen)}, while the book had gone on to {least}")
        if note in after and max(seen) > after[note]:
            found.append(f"note {note} in edition {max(seen)}, which the book does not have yet")
    if asked in before and asked in after and asked not in shown:
        found.append(f"note {asked} is there and was not found")
    if asked in shown and sorted(one.part for one in shown[asked]) != list(range(1, shown[asked][0].of + 1)):
        found.append(f"note {asked} is not whole: {sorted(shown[asked])}")
    return found
