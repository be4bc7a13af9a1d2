from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from ingest_world import World

from app.core.errors import Conflict, NotReady, OndolError, StoreNotFound
from ingest.book.engine import HEAD, MIGRATIONS, open_book, open_writable
from ingest.book.schema import metadata
from ingest.book.writer import open_writer, prune_outbox


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    (tmp_path / "a.txt").write_text("The floor is warm.")
    return world


def test_the_migrations_end_in_the_schema(world):
    engine = open_writable(world.home.book, world.home.locks)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda thing, name, *rest: not name.startswith("chunk_text")}
        )
        assert compare_metadata(context, metadata) == []
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'table'").scalars().all()
    for table in ("chunks", "generations", "outbox"):
        assert any(f"CREATE TABLE {table} " in sql and "AUTOINCREMENT" in sql for sql in made), table
    assert sorted(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("0*.py"))[-1] == HEAD


def test_a_book_that_is_not_there_is_not_made_by_a_reader(world):
    with pytest.raises(StoreNotFound, match="ondol ingest files"):
        open_book(world.home.book)
    assert not world.home.book.exists()
    assert world.status() == []


def test_a_book_of_an_older_form_is_not_ready_for_readers_and_migrated_by_a_writer(world):
    world.home.book.touch()
    with pytest.raises(NotReady, match="ondol ingest sync"):
        open_book(world.home.book)
    open_writable(world.home.book, world.home.locks).dispose()
    open_book(world.home.book).close()


def test_a_book_of_a_newer_form_is_refused_and_not_touched(world, tmp_path):
    world.files(tmp_path / "a.txt")
    connection = sqlite3.connect(world.home.book)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for attempt in (lambda: open_book(world.home.book), lambda: world.files(tmp_path / "a.txt")):
        with pytest.raises(Conflict, match="newer Ondol"):
            attempt()


def test_a_damaged_book_says_what_to_do(world, tmp_path):
    world.files(tmp_path / "a.txt")
    for file in world.home.root.glob("book.db-*"):
        file.unlink()
    world.home.book.write_bytes(b"\x00" * 8192)
    with pytest.raises(OndolError, match="damaged"):
        open_book(world.home.book)


def test_processes_that_migrate_at_once_agree(world):
    code = (
        "import sys; from pathlib import Path; from ingest.book.engine import open_writable as o; o(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    root = Path(__file__).resolve().parents[2]
    runs = [subprocess.Popen([sys.executable, "-c", code, world.home.book, world.home.locks], cwd=root) for _ in range(4)]
    assert [run.wait() for run in runs] == [0, 0, 0, 0]
    open_book(world.home.book).close()


def test_readers_see_one_moment_while_a_writer_goes_on_and_cannot_write(world, tmp_path):
    world.files(tmp_path / "a.txt")
    with open_book(world.home.book) as book, book.read() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM documents").scalar()
        (tmp_path / "b.txt").write_text("More.")
        world.files(tmp_path / "b.txt")
        assert connection.exec_driver_sql("SELECT count(*) FROM documents").scalar() == before == 1
        with pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("DELETE FROM documents")
    assert len(world.documents()) == 2


def test_the_outbox_forgets_what_the_index_has_passed_and_goes_on_counting(world, tmp_path):
    world.files(tmp_path / "a.txt")
    with open_writer(world.home, "notes") as writer:
        generation = writer.generation
        assert generation is not None
    engine = open_writable(world.home.book, world.home.locks)
    assert prune_outbox(engine, generation.id, 1) == 1
    assert prune_outbox(engine, generation.id, 1) == 0
    engine.dispose()
    (tmp_path / "a.txt").write_text("The floor is cold.")
    world.sync()
    assert world.sql("SELECT seq, op FROM outbox ORDER BY seq") == [(2, "delete"), (3, "put")]


def test_a_full_disk_is_said_and_leaves_the_book_whole(world, tmp_path):
    from app.core.errors import DiskFull
    from ingest.book.content import Batch, Ready
    from ingest.chunking import Chunk
    from ingest.documents import Document

    world.files(tmp_path / "a.txt")
    with open_writer(world.home, "notes") as writer:
        source = writer.sources()[0]
        engine = writer._engine
        with engine.connect() as connection:
            # SQLite's own limit on pages raises just what a full disk does.
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        big = Ready(Document("big", "Big", ()), "hash", tuple((Chunk("word " * 4000, "", None, None), f"h{at}") for at in range(50)))
        with pytest.raises(DiskFull):
            writer.commit(Batch(source.id, [big], {f"h{at}": b"\0" * 1536 for at in range(50)}))
    world.check()
    assert len(world.documents()) == 1
