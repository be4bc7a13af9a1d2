"""What the book knows of a few documents that somebody cites: of which source, in which state they were read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import StoreNotFound
from ingest.documents import came_from
from ingest.index import book_view

Cited = tuple[str, str]
"""A document: its store and its id."""

_HELD = """
    SELECT d.source_id, s.name, d.id, d.content_hash FROM json_each(?) j
    JOIN stores s ON s.name = json_extract(j.value, '$[0]')
    JOIN documents d ON d.store_id = s.id AND d.id = json_extract(j.value, '$[1]')
"""
# The stamps of a large folder are many: SQLite picks those that are asked for, and no other thread waits meanwhile.
_STAMPS = """
    SELECT j.key, j.value FROM sources o, json_each(o.state, '$.files') j
    WHERE o.id = ? AND j.key IN (SELECT value FROM json_each(?))
"""


class Group(msgspec.Struct, frozen=True):
    """Documents of one source. `held`: their content hashes; `rule`: how documents were made by its last run.

    `stamps`: size, time and hash of each file that a document may have come from. `folder`: whether the source is one, and not a file.
    """

    store: str
    source: int
    kind: str
    spec: dict[str, Any]
    rule: str
    held: dict[Cited, str]
    stamps: dict[str, list[Any]]
    folder: bool


def groups(book: Path, documents: Sequence[Cited]) -> list[Group]:
    """What the book holds of these documents, by their sources; what it doesn't hold is left out."""
    try:
        connection = book_view.connect(book)
    except StoreNotFound:
        return []
    with closing(connection), book_view.snapshot(connection):
        by_source: dict[int, dict[Cited, str]] = {}
        for source, store, id, hash in connection.execute(_HELD, (json.dumps(documents),)):
            by_source.setdefault(source, {})[(store, id)] = hash
        return [_group(connection, source, held) for source, held in by_source.items()]


def _group(connection: sqlite3.Connection, source: int, held: dict[Cited, str]) -> Group:
    query = "SELECT kind, spec, json_extract(state, '$.rule'), json_extract(state, '$.folder') FROM sources WHERE id = ?"
    kind, spec, rule, folder = connection.execute(query, (source,)).fetchone()
    stamps: dict[str, list[Any]] = {}
    if kind == "files":
        files = json.dumps(sorted({file for _, id in held for file in came_from(id)}))
        stamps = {file: json.loads(stamp) for file, stamp in connection.execute(_STAMPS, (source, files))}
    return Group(next(iter(held))[0], source, kind, json.loads(spec), rule or "", held, stamps, bool(folder))
