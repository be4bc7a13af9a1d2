"""The index worker killed while Chroma writes its files: some of them are new then, and others old."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from persist_window import persist_window
from shelf import generation, home_in, shelf, some_texts
from test_index_worker import answers_are_right, follows, until

from ingest.index import book_view
from ingest.index.chroma import ChromaIndex
from ingest.index.client import IndexClient
from ingest.index.files import taken_in
from ingest.index.probe import sound

HELD = 600
KILLS = 10


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGSTOP")
@pytest.mark.slow
async def test_a_worker_killed_while_chroma_writes_leaves_or_makes_an_index_that_finds_every_chunk(tmp_path: Path) -> None:
    seed = int(os.environ.get("ONDOL_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"ONDOL_TEST_SEED={seed}")
    home, dice, inside_all, kept, kill = home_in(tmp_path), random.Random(seed), 0, 0, 0
    with shelf(home) as books:
        books.put(some_texts(HELD))
        index = IndexClient(home)
        await until(index, follows)
        book = book_view.connect(home.book)
        of = generation(home)
        while inside_all < KILLS:
            kill += 1
            # On a busy machine the moment is missed now and then.
            assert kill <= 4 * KILLS
            before = max(home.index.glob("s*-g*-*"))
            # Each changed text is a deletion and an addition, and after a thousand of these Chroma writes.
            books.put({f"d{n}": f"{text} in edition {kill}" for n, text in enumerate(some_texts(HELD).values()) if dice.random() < 0.9})
            worker = index.pid
            assert worker is not None
            ahead = lambda: book_view.newest_seq(book) - taken_in(home.index, of.id)  # noqa: E731
            with persist_window(home.index, worker, dice, ahead, lambda: True) as inside:
                os.kill(worker, signal.SIGKILL)
            inside_all += inside
            print(f"kill {kill}: {inside_all} inside so far", flush=True)
            assert await answers_are_right(index, home)
            state = await until(index, follows)
            assert state[0]["entries"] == state[0]["chunks"] == HELD
            after = max(home.index.glob("s*-g*-*"))
            kept += inside and after == before
            rows = book_view.vectors(book, of, book_view.chunk_pks(book, of))
            left = shutil.copytree(after, tmp_path / f"left{kill}")
            assert sound(left, rows, timeout=100), f"after kill {kill}"
            chroma = ChromaIndex(left)
            assert sorted(chroma.pks()) == [pk for pk, _ in rows]
            chroma.close()
        book.close()
        await index.stop()
    print(f"the directory was kept after {kept} of {KILLS}")
