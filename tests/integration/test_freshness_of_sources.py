"""The citations' look-up against real rows and files."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import threading
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ingest_world import World
from postgres_servers import READER_PASSWORD
from postgres_tables import run
from psycopg.conninfo import make_conninfo

from app.core.records import Freshness
from ingest.chunking import DEFAULT, ChunkOptions
from ingest.freshness import FreshnessChecker


@pytest.fixture
def shop(database: str) -> str:
    run(
        database,
        "CREATE TABLE t (id int, part text, body text, PRIMARY KEY (id, part));"
        "INSERT INTO t SELECT n, 'a,b/%' || n, 'row ' || n FROM generate_series(1, 5) n",
    )
    return database


@pytest.fixture
async def checker(world: World) -> AsyncIterator[FreshnessChecker]:
    made = FreshnessChecker(world.home, DEFAULT, down_seconds=0.5)
    yield made
    await made.close()


async def looked(checker: FreshnessChecker, world: World, store: str = "shop") -> dict[str, Freshness]:
    """What all documents of the store are like, by the last part of their ids."""
    documents = [(store, id) for id in sorted(world.documents())]
    found: dict[tuple[str, str], Freshness] = {}
    async for part in checker.look(documents):
        found.update(part)
    return {id.rpartition("/")[2]: found.get((store, id), "unknown") for store, id in documents}


def moved(world: World, **parameters: str) -> None:
    """The one source's database is elsewhere now."""
    with sqlite3.connect(world.home.book) as book:
        (spec,) = book.execute("SELECT spec FROM sources").fetchone()
        changed = json.loads(spec)
        changed["dsn"].update(parameters)
        book.execute("UPDATE sources SET spec = ?", (json.dumps(changed),))
    book.close()


async def test_rows_that_changed_or_went_are_told_from_those_that_did_not(world, shop, checker) -> None:
    world.table(shop, "t")
    assert set((await looked(checker, world)).values()) == {"current"}
    run(shop, "UPDATE t SET body = 'new' WHERE id = 2; DELETE FROM t WHERE id = 3; UPDATE t SET part = 'x' WHERE id = 4")
    told = await looked(checker, world)
    assert {key[0]: freshness for key, freshness in told.items()} == {
        "1": "current",
        "2": "changed",
        "3": "deleted",
        "4": "deleted",
        "5": "current",
    }
    world.sync()
    assert set((await looked(checker, world)).values()) == {"current"}


async def test_a_row_that_says_nothing_any_more_has_changed(world, shop, checker) -> None:
    run(shop, "CREATE TABLE single (id int PRIMARY KEY, a text); INSERT INTO single VALUES (1, 'words')")
    world.table(shop, "single")
    run(shop, "UPDATE single SET a = NULL")
    assert await looked(checker, world) == {"1": "changed"}


async def test_rows_cut_by_other_settings_than_those_in_force_are_current_all_the_same(world, shop) -> None:
    world.table(shop, "t")
    other = FreshnessChecker(world.home, ChunkOptions(tokens=100, overlap=10))
    assert set((await looked(other, world)).values()) == {"current"}
    await other.close()


async def test_a_locked_table_is_given_up_in_time_and_nothing_is_told_of_it(world, shop, checker) -> None:
    world.table(shop, "t")
    with psycopg.connect(shop) as locking:
        locking.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        assert set((await looked(checker, world)).values()) == {"unknown"}
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ondol' AND wait_event_type = 'Lock'"
        with psycopg.connect(shop) as other:
            assert other.execute(waiting).fetchone() == (0,)
    await asyncio.sleep(0.6)
    assert set((await looked(checker, world)).values()) == {"current"}


async def test_a_database_that_refuses_is_not_asked_again_for_a_while(world, shop, checker) -> None:
    world.table(shop, "t")
    with mute() as (port, _):
        pass
    moved(world, host="127.0.0.1", port=str(port))
    assert set((await looked(checker, world)).values()) == {"unknown"}
    with mute(port) as (_, came):
        assert set((await looked(checker, world)).values()) == {"unknown"}
        assert came == []
        await asyncio.sleep(0.6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(looked(checker, world), 0.3)
        assert len(came) == 1


async def test_whoever_comes_behind_a_database_that_never_answers_is_not_held_up_and_asks_it_no_second_time(world, shop) -> None:
    world.table(shop, "t")
    patient = FreshnessChecker(world.home, DEFAULT, down_seconds=60)
    with mute() as (port, came):
        moved(world, host="127.0.0.1", port=str(port))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(looked(patient, world), 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(looked(patient, world), 0.2)
        assert set((await looked(patient, world)).values()) == {"unknown"}
        assert len(came) == 1
    await patient.close()


async def test_a_connection_is_kept_for_the_next_look_and_let_go_after_a_while(world, shop) -> None:
    world.table(shop, "t")
    checker = FreshnessChecker(world.home, DEFAULT, keep_seconds=0.5)
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ondol' AND datname = current_database()"
    with psycopg.connect(shop, autocommit=True) as watching:
        await looked(checker, world)
        (first,) = watching.execute(mine).fetchall()
        await looked(checker, world)
        assert watching.execute(mine).fetchall() == [first]
        for _ in range(100):
            if not watching.execute(mine).fetchall():
                break
            await asyncio.sleep(0.05)
        assert watching.execute(mine).fetchall() == []
        await looked(checker, world)
        assert len(watching.execute(mine).fetchall()) == 1
        run(shop, f"SELECT pg_terminate_backend(pid) FROM ({mine}) AS mine")
        assert set((await looked(checker, world)).values()) == {"current"}
    await checker.close()


async def test_many_answers_at_once_are_all_told(world, shop, checker) -> None:
    world.table(shop, "t")
    told = await asyncio.gather(*(looked(checker, world) for _ in range(8)))
    assert {freshness for one in told for freshness in one.values()} == {"current"}


async def test_a_password_stands_in_no_line_of_the_log(world, shop, checker, caplog) -> None:
    caplog.set_level("DEBUG")
    run(shop, "GRANT SELECT ON t TO reader")
    world.table(make_conninfo(shop, user="reader", password=READER_PASSWORD), "t")
    run(shop, "REVOKE SELECT ON t FROM reader")
    assert set((await looked(checker, world)).values()) == {"unknown"}
    assert "reader may not read public.t" in caplog.text
    assert READER_PASSWORD not in caplog.text


async def test_what_nobody_can_look_at_is_left_out(checker, world) -> None:
    assert [part async for part in checker.look([("shop", "x"), ("none", "y")])] == []
    world.files(_written(world.home.root / "a.txt", "words"))
    assert [part async for part in checker.look([("notes", "elsewhere"), ("none", "y")])] == []


async def test_files_that_changed_or_went_are_told_from_those_that_did_not(world, checker, tmp_path) -> None:
    folder = tmp_path / "문서 #1"
    folder.mkdir()
    for name in ("한글.txt", "b.txt", "c.txt", "d.txt"):
        _written(folder / name, f"words of {name}")
    _written(folder / "rows.csv", "id,say\n1,one\n2,two\n")
    world.files(folder)
    assert set((await looked(checker, world, "notes")).values()) == {"current"}
    _written(folder / "b.txt", "other words")
    (folder / "c.txt").unlink()
    os.utime(folder / "d.txt", (1_700_000_000, 1_700_000_000))
    _written(folder / "rows.csv", "id,say\n1,one\n2,three\n")
    assert await looked(checker, world, "notes") == {
        unicodedata.normalize("NFC", "한글.txt"): "current",
        "b.txt": "changed",
        "c.txt": "deleted",
        "d.txt": "current",
        "rows.csv#1": "changed",
        "rows.csv#2": "changed",
    }


async def test_a_name_that_the_disk_writes_decomposed_is_the_same_file(world, checker, tmp_path) -> None:
    _written(tmp_path / unicodedata.normalize("NFD", "한글.txt"), "words")
    world.files(tmp_path / unicodedata.normalize("NFD", "한글.txt"))
    assert set((await looked(checker, world, "notes")).values()) == {"current"}


async def test_a_drive_that_is_away_says_nothing_of_its_files(world, checker, tmp_path) -> None:
    folder = tmp_path / "drive" / "folder"
    _written(folder / "a.txt", "words")
    world.files(folder)
    folder.rename(tmp_path / "elsewhere")
    assert set((await looked(checker, world, "notes")).values()) == {"unknown"}
    folder.mkdir()
    assert set((await looked(checker, world, "notes")).values()) == {"unknown"}
    _written(folder / "b.txt", "others")
    assert set((await looked(checker, world, "notes")).values()) == {"deleted"}


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def mute(port: int = 0) -> Iterator[tuple[int, list[Any]]]:
    """A port that takes connections and never says a word; those that came."""
    came: list[Any] = []
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(8)

        def take() -> None:
            with suppress(OSError):
                while True:
                    came.append(listening.accept())

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        try:
            yield listening.getsockname()[1], came
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            taking.join(5)
            for connection, _ in came:
                connection.close()
