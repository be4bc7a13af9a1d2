from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from ingest.report import Committed
from ingest.run import Options
from ingest.sync import sync
from models.hash_embedder import WordCounter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "자료"
    folder.mkdir()
    for number in range(30):
        (folder / f"보고서 {number}.txt").write_text(f"The report number {number} says something of its own.")
    return folder


def test_files_that_were_moved_are_not_embedded_again_and_appear_once(world, folder):
    world.files(folder)
    world.embedder.texts.clear()
    new = folder / "2026" / "상반기"
    new.mkdir(parents=True)
    for file in list(folder.glob("*.txt")):
        file.rename(new / file.name)
    # All of the source's documents have vanished from where they were: that is no mass deletion.
    report = world.sync()
    assert (report.added, report.deleted, report.moved, report.embedded, report.reused) == (30, 30, 30, 0, 30)
    assert report.ok
    assert world.embedder.texts == []
    assert world.documents() == {file.as_posix() for file in new.iterdir()}
    world.check()


def test_a_moved_file_is_never_there_twice_nor_missing_for_a_reader(world, folder):
    world.files(folder, batch_chunks=8)
    (folder / "later").mkdir()
    for file in list(folder.glob("*.txt")):
        file.rename(folder / "later" / file.name)
    seen: list[int] = []

    def count(event: object) -> None:
        if isinstance(event, Committed):
            titles = world.sql("SELECT title FROM documents")
            seen.append(len(titles))
            assert len(set(titles)) == len(titles) == 30

    sync(world.home, None, world.embedder, WordCounter(), on_event=count, options=Options(batch_chunks=8))
    assert len(seen) >= 3


def test_of_two_equal_files_one_that_moves_takes_its_own_place_alone(world, folder):
    twin = folder / "b.txt"
    (folder / "a.txt").write_text("Equal words stand in both files.")
    twin.write_text("Equal words stand in both files.")
    world.files(folder)
    (folder / "c").mkdir()
    twin.rename(folder / "c" / "b.txt")
    report = world.sync()
    assert (report.added, report.moved, report.deleted, report.embedded) == (1, 1, 1, 0)
    assert (folder / "a.txt").as_posix() in world.documents()
    assert len(world.documents()) == 32


def test_a_copy_is_no_move(world, folder):
    world.files(folder)
    (folder / "copy").mkdir()
    (folder / "copy" / "보고서 1.txt").write_bytes((folder / "보고서 1.txt").read_bytes())
    report = world.sync()
    assert (report.added, report.moved, report.deleted, report.embedded) == (1, 0, 0, 0)


def test_records_of_a_moved_table_move_with_it(world, folder):
    (folder / "people.csv").write_text("id,name\n1,Kim lives in Seoul\n2,Lee lives in Busan\n")
    world.files(folder)
    (folder / "old").mkdir()
    (folder / "people.csv").rename(folder / "old" / "people.csv")
    report = world.sync()
    assert (report.added, report.moved) == (2, 2)
    assert {id for id in world.documents() if "people" in id} == {f"{(folder / 'old' / 'people.csv').as_posix()}#{n}" for n in (1, 2)}


def test_a_file_that_failed_is_not_read_again_before_its_time_unless_it_changes_or_is_asked_for(world, folder):
    broken = folder / "계약.txt"
    broken.write_text("")
    assert len(world.files(folder).failed) == 1
    again = world.sync()
    assert (again.failed, again.waiting, again.ok) == ((), 1, True)
    (failure,) = world.status()[0].failures
    assert (failure.item, failure.attempts) == (broken.as_posix(), 1)
    assert world.sync(retry={"/elsewhere.txt"}).waiting == 1
    assert len(world.sync(retry={broken.as_posix()}).failed) == 1
    assert world.status()[0].failures[0].attempts == 2
    assert len(world.files(folder).failed) == 1, "who names the folder wants it read"
    broken.write_text("Now it says something.")
    assert (world.sync().added, world.status()[0].failures) == (1, ())


def test_a_file_whose_time_has_come_is_read_again(world, folder):
    (folder / "계약.txt").write_text("")
    world.files(folder)
    with sqlite3.connect(world.home.book) as book:
        book.execute("UPDATE failures SET next_at = 5")
    assert len(world.sync().failed) == 1
    with sqlite3.connect(world.home.book) as book:
        book.execute("UPDATE failures SET next_at = NULL")
    assert (world.sync().waiting, world.sync(retry=True).waiting) == (1, 0)


def test_what_a_failing_file_said_before_stays_while_it_waits(world, folder):
    file = folder / "보고서 1.txt"
    world.files(folder)
    file.write_text("")
    world.sync()
    assert world.sync().waiting == 1
    assert file.as_posix() in world.documents()


def test_a_file_in_the_writing_is_left_for_later(world, folder):
    world.files(folder)
    (folder / "new.txt").write_text("Half of a sen")
    assert world.sync(settle=60).added == 0
    old = time.time() - 100
    os.utime(folder / "new.txt", (old, old))
    assert world.sync(settle=60).added == 1
    future = time.time() + 10_000
    (folder / "other.txt").write_text("A clock of another machine.")
    os.utime(folder / "other.txt", (future, future))
    assert world.sync(settle=60).added == 1


def test_rereading_cuts_all_again_and_embeds_nothing_again(world, folder):
    world.files(folder)
    before = {row[0] for row in world.sql("SELECT pk FROM chunks")}
    world.embedder.texts.clear()
    report = world.sync(reread=True)
    assert (report.changed, report.embedded, report.reused, report.deleted) == (30, 0, 30, 0)
    assert not before & {row[0] for row in world.sql("SELECT pk FROM chunks")}
    world.check()
