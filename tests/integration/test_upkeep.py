from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ingest_world import World

from app.core.errors import DiskFull, NotFound, StoreNotFound
from app.core.locks import FileLock
from ingest.book.writer import open_writer
from ingest.index import directory
from ingest.keeping.kept import Key, record_dead
from ingest.keeping.rebuild import rebuild
from ingest.keeping.retry import chosen
from ingest.keeping.vacuum import vacuum
from ingest.report import Committed, Event
from ingest.run import Options
from models.hash_embedder import WordCounter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        (folder / f"보고서 {number}.txt").write_text(f"Report {number} of the year. " + f"word{number} " * 400)
    return folder


@pytest.fixture
def world(tmp_path: Path, folder: Path) -> World:
    world = World(tmp_path / "home")
    world.home.root.mkdir()
    world.files(folder)
    return world


def silent(event: Event) -> None:
    pass


def shrink(world: World, folder: Path) -> None:
    for number in range(50):
        (folder / f"보고서 {number}.txt").unlink()
    world.sync(allow_delete=True)


def test_vacuum_gives_disk_back_and_nothing_that_is_needed(world, folder):
    shrink(world, folder)
    before = world.home.book.stat().st_size
    done = vacuum(world.home, silent)
    assert done.rewritten
    assert world.home.book.stat().st_size < before / 2
    assert done.after.total < done.before.total
    world.check()
    assert len(world.documents()) == 10
    assert world.sync().unchanged == 10
    assert not vacuum(world.home, silent).rewritten


def test_vacuum_beside_a_reader_leaves_the_reader_its_moment(world, folder):
    shrink(world, folder)
    reader = sqlite3.connect(f"file:{world.home.book}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT id, title FROM documents ORDER BY id").fetchall()
    result: list[object] = []
    thread = threading.Thread(target=lambda: result.append(vacuum(world.home, silent)))
    thread.start()
    for _ in range(20):
        assert reader.execute("SELECT id, title FROM documents ORDER BY id").fetchall() == seen
    reader.execute("COMMIT")
    thread.join()
    assert result
    assert reader.execute("SELECT id, title FROM documents ORDER BY id").fetchall() == seen
    reader.close()
    world.check()


def test_vacuum_with_too_little_room_says_how_much_it_needs_and_changes_nothing(world, folder):
    shrink(world, folder)
    before = world.home.book.stat().st_size
    with pytest.raises(DiskFull, match=r"which needs .* for a moment; 1 kB are free"):
        vacuum(world.home, silent, free=lambda home: 1000)
    assert world.home.book.stat().st_size == before
    world.check()


def test_vacuum_removes_index_directories_that_nobody_follows_unless_a_worker_does_so_itself(world):
    old, new = (world.home.index / name for name in ("s9-g9-1", "s9-g9-2"))
    for path in (old, new):
        path.mkdir(parents=True)
    with FileLock(world.home.locks / "index.lock"):
        vacuum(world.home, silent)
        assert old.exists()
    vacuum(world.home, silent)
    assert not old.exists()
    assert not new.exists()


def test_a_vacuum_killed_at_any_moment_leaves_the_book_as_before_or_as_after(world, folder):
    shrink(world, folder)
    chance, documents, before = random.Random(7), world.documents(), world.home.book.stat().st_size
    program = Path(__file__).with_name("vacuum_program.py")
    for most in (0.6, 0.9, 1.2, 1.5, 30.0):
        run = subprocess.Popen([sys.executable, program, world.home.root], cwd=program.parents[2], stdout=subprocess.PIPE, text=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(most if most > 10 else chance.uniform(0.3, most))
        run.kill()
        said = run.communicate()[0]
        world.check()
        assert world.documents() == documents
    assert said == "done\n"
    assert world.home.book.stat().st_size < before / 2


def test_vacuum_without_a_book_says_so(tmp_path):
    world = World(tmp_path / "empty")
    world.home.root.mkdir()
    with pytest.raises(StoreNotFound):
        vacuum(world.home, silent)


def test_vacuum_drops_vectors_that_no_text_needs(world):
    with sqlite3.connect(world.home.book) as book:
        book.execute("INSERT INTO vectors (generation_id, text_hash, vector) SELECT id, 'nobody', zeroblob(100) FROM generations")
    vacuum(world.home, silent)
    assert world.sql("SELECT pk FROM vectors WHERE text_hash = 'nobody'") == []


def test_a_rebuild_reads_all_again_without_a_gap_and_embeds_nothing_again(world, folder):
    index = world.home.index / f"s1-g{world.sql('SELECT id FROM generations')[0][0]}-1"
    index.mkdir(parents=True)
    (index / directory.POSITION).write_text("{}")
    world.embedder.texts.clear()
    documents = world.documents()
    gaps: list[set[str]] = []

    def tell(event: Event) -> None:
        if isinstance(event, Committed):
            with_chunks = {row[0] for row in world.sql("SELECT DISTINCT d.id FROM documents d JOIN chunks c ON c.document_pk = d.pk")}
            gaps.append(documents - with_chunks)

    options = Options(batch_chunks=16)
    (report,) = rebuild(world.home, None, world.embedder, WordCounter(), on_event=tell, options=options)
    assert (report.changed, report.embedded, report.ok) == (60, 0, True)
    assert len(gaps) > 3
    assert not any(gaps)
    assert world.embedder.texts == []
    assert not (index / directory.POSITION).exists()
    world.check()


def test_a_rebuild_keeps_what_can_no_longer_be_read(world, folder):
    (folder / "보고서 1.txt").write_text("")
    (report,) = rebuild(world.home, "notes", world.embedder, WordCounter(), on_event=silent, options=Options())
    assert len(report.failed) == 1
    assert len(world.documents()) == 60


def test_what_failed_is_chosen_by_store_source_and_item_as_it_is_typed(world, folder):
    broken = folder / "계약.txt"
    broken.write_text("")
    world.files(folder)
    name = folder.as_posix()
    assert chosen(world.home, None, None, ()) == {("notes", name): True}
    assert chosen(world.home, "notes", str(folder), [str(broken)]) == {("notes", name): {broken.as_posix()}}
    with pytest.raises(NotFound, match=r'No item that failed is called ".*계약서\.txt"\. Did you mean .*계약\.txt'):
        chosen(world.home, None, None, [str(folder / "계약서.txt")])
    with pytest.raises(NotFound, match="`ondol ingest retry` without a name tries all of it again"):
        chosen(world.home, None, None, ["nothing"])
    with pytest.raises(NotFound, match="no source"):
        chosen(world.home, "notes", "/elsewhere", ())
    broken.unlink()
    world.sync()
    assert chosen(world.home, None, None, ()) == {}
    with pytest.raises(NotFound, match="Nothing failed; `ondol ingest sync` reads"):
        chosen(world.home, None, None, ["nothing"])


def test_a_source_that_stopped_as_a_whole_is_chosen_too_and_by_its_own_name(world, folder):
    world.files(folder)
    folder.rename(folder.parent / "away")
    assert "no file or folder" in world.sync().error
    name = folder.as_posix()
    assert chosen(world.home, None, None, ()) == {("notes", name): True}
    assert chosen(world.home, None, None, [name]) == {("notes", name): {name}}
    (folder.parent / "away").rename(folder)
    world.sync()
    assert chosen(world.home, None, None, ()) == {}


def test_a_source_whose_run_was_killed_is_chosen_though_it_left_no_failure(world, folder):
    world.files(folder)
    with open_writer(world.home, "notes") as writer:
        (source,) = writer.sources()
    record_dead(world.home, Key("notes", source.name), "It ended with status -9.", 1.0)
    assert chosen(world.home, "notes", None, ()) == {("notes", source.name): True}
    assert chosen(world.home, None, None, [source.name]) == {("notes", source.name): {source.name}}


def test_status_counts_bytes_and_tells_when_what_failed_is_tried_again(world, folder):
    (folder / "계약.txt").write_text("")
    (folder / "한글.txt").write_text("가나다")
    world.files(folder)
    (status,) = world.status()
    assert status.text_bytes == world.sql("SELECT sum(length(CAST(text AS BLOB))) FROM chunks")[0][0]
    assert status.vector_bytes == status.chunks * world.embedder.info.dimensions * 4
    (failure,) = status.failures
    assert 200 < failure.next_at - failure.last_at < 400
    assert not failure.set_aside
    assert (status.outcome, status.next_at, status.behind) == ("ok", None, 0.0)
    assert 0 <= status.lag < 60
