"""The outbox doesn't grow for ever: what the index has taken in goes with the next run."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from app.core.paths import Home
from ingest.index.client import IndexClient
from ingest.sync import ingest_files
from models.hash_embedder import HashEmbedder, WordCounter


def waiting(home: Home) -> int:
    with sqlite3.connect(f"file:{home.book}?mode=ro", uri=True) as book:
        return int(book.execute("SELECT count(*) FROM outbox").fetchone()[0])


async def drained(home: Home) -> None:
    index = IndexClient(home)
    try:
        while not (state := await index.state()) or any(one["pending"] or one["rebuilding"] for one in state):
            await asyncio.sleep(0.05)
    finally:
        await index.stop()


def test_rows_that_the_index_has_passed_go_and_later_ones_stay(tmp_path: Path) -> None:
    home, page = Home(tmp_path / "home"), tmp_path / "page.md"
    home.root.mkdir()
    page.write_text("The first text of this page.", encoding="utf-8")
    ingest_files(home, [page], "notes", HashEmbedder(), WordCounter())
    assert waiting(home) == 1
    asyncio.run(drained(home))
    page.write_text("Another text stands here now.", encoding="utf-8")
    ingest_files(home, [page], "notes", HashEmbedder(), WordCounter())
    with sqlite3.connect(f"file:{home.book}?mode=ro", uri=True) as book:
        assert book.execute("SELECT op FROM outbox ORDER BY seq").fetchall() == [("delete",), ("put",)]
