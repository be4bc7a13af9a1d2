"""Runs over a table that are cut short, or beside which others write: what follows leaves nothing behind."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest
from ingest_world import CountingEmbedder
from postgres_tables import is_the_table, run

from ingest.run import Options


class Stops(CountingEmbedder):
    """Ctrl-C after twenty texts."""

    def passages(self, texts):
        if len(self.texts) >= 20:
            raise KeyboardInterrupt
        return super().passages(texts)


def test_a_run_that_was_cut_short_is_followed_by_one_that_looks_at_everything(world, things, paths):
    world.table(things, "things")
    run(things, "INSERT INTO things SELECT n, 'late ' || n FROM generate_series(31, 90) n")

    embedder, world.embedder = world.embedder, Stops()
    with pytest.raises(KeyboardInterrupt):
        world.sync(batch_chunks=10)
    kept = len(world.documents())
    assert 30 < kept < 90
    # What the interrupted run brought goes again: the keys are those of the run before it.
    run(things, "DELETE FROM things WHERE id > 30")
    world.embedder = embedder
    report = world.sync(allow_delete=True)
    assert (report.deleted, report.unchanged) == (kept - 30, 30)
    assert paths.all == 2
    assert is_the_table(world, things)
    world.check()


def test_an_interrupted_first_run_goes_on_where_it_was(world, things):
    embedder, world.embedder = world.embedder, Stops()
    with pytest.raises(KeyboardInterrupt):
        world.table(things, "things", options=Options(batch_chunks=10))
    world.embedder = embedder
    report = world.sync()
    assert (report.unchanged, report.added, len(embedder.texts)) == (20, 10, 10)


def test_a_table_that_is_emptied_while_a_run_waits_for_it_is_seen_as_it_is_then(world, things):
    world.table(things, "things")
    held, done = threading.Event(), []
    with psycopg.connect(things) as writer:
        writer.execute("TRUNCATE things")
        writer.execute("INSERT INTO things SELECT n, 'again ' || n FROM generate_series(1, 30) n")
        syncing = threading.Thread(target=lambda: (held.set(), done.append(world.sync())))
        syncing.start()
        held.wait()
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ondol' AND wait_event_type = 'Lock'"
        with psycopg.connect(things, autocommit=True) as watcher:
            while watcher.execute(query).fetchone() == (0,):
                time.sleep(0.01)
        writer.commit()
        syncing.join()
    # The run's first snapshot saw an empty table: rows that a rewrite wrote later are not in it.
    assert (done[0].changed, done[0].deleted) == (30, 0)
    assert is_the_table(world, things)


def test_eight_writers_at_once_leave_nothing_behind(world, things):
    stop = threading.Event()

    def write(number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(things) as connection:
            while not stop.is_set():
                for _ in range(chance.randrange(1, 6)):
                    id = 100 * number + chance.randrange(40)
                    connection.execute("SAVEPOINT a")
                    act = chance.randrange(4)
                    if act == 0:
                        connection.execute("DELETE FROM things WHERE id = %s", [id])
                    elif act == 1:
                        connection.execute("UPDATE things SET body = %s WHERE id = %s", [f"u{chance.random()}", id])
                    else:
                        values = [id, f"i{chance.random()}"]
                        connection.execute("INSERT INTO things VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body", values)
                    connection.execute("ROLLBACK TO a" if chance.random() < 0.2 else "RELEASE a")
                stop.wait(chance.random() * 0.02)
                connection.commit() if chance.random() < 0.8 else connection.rollback()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for writer in writers:
        writer.start()
    try:
        world.table(things, "things")
        for _ in range(6):
            assert not world.sync(allow_delete=True).error
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not world.sync(allow_delete=True).error
    assert is_the_table(world, things)
    world.check()


def test_nothing_of_a_run_stays_behind_in_the_folder_for_scratch_files(world, things, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    world.table(things, "things")
    assert not any(scratch.iterdir())
