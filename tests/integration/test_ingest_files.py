from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

import pytest
from ingest_world import CountingEmbedder

from app.core.errors import BadRequest, NotFound, StoreNotFound
from app.core.locks import FileLock
from ingest.chunking import ChunkOptions
from ingest.embedders import Tools
from ingest.readers.contract import Limits
from ingest.report import Committed, Finished, ItemFailed, Started, Waiting
from ingest.sync import ingest_files, sync
from models.hash_embedder import WordCounter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "자료"
    made.mkdir()
    (made / "a.txt").write_text("The floor is warm.")
    (made / "b.md").write_text("# 휴가\n\n연차는 15일이다.")
    (made / "c.jsonl").write_text('{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n')
    age(made)
    return made


def age(folder: Path) -> None:
    """As if written long ago: then size and time alone tell that a file was not touched."""
    for file in folder.rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))


def test_a_folder_becomes_documents_chunks_and_vectors(world, folder):
    report = world.files(folder)
    assert (report.added, report.chunks, report.embedded, report.failed, report.ok) == (4, 4, 4, (), True)
    root = folder.as_posix()
    assert world.documents() == {f"{root}/a.txt", f"{root}/b.md", f"{root}/c.jsonl#1", f"{root}/c.jsonl#2"}
    assert world.sql("SELECT title FROM documents WHERE id LIKE '%b.md'") == [("휴가",)]
    assert "휴가\n연차는 15일이다." in world.embedder.texts
    world.check()


def test_a_second_run_reads_and_embeds_nothing(world, folder):
    world.files(folder)
    world.embedder.texts.clear()
    (folder / "a.txt").chmod(0)  # as root this opens all the same: the count of texts is what tells
    report = world.sync()
    assert (report.added, report.changed, report.unchanged, report.deleted) == (0, 0, 4, 0)
    assert world.embedder.texts == []
    assert world.sql("SELECT count(*) FROM outbox") == [(4,)]


def test_a_sync_without_changes_makes_no_embedder(world, folder):
    world.files(folder)

    def never() -> CountingEmbedder:
        raise AssertionError("nothing is to be embedded")

    report = ingest_files(world.home, [folder], "notes", never, WordCounter())
    assert report.unchanged == 4


def test_a_changed_file_swaps_its_chunks_and_a_vanished_one_is_deleted(world, folder):
    world.files(folder)
    (folder / "a.txt").write_text("The floor is cold now.")
    (folder / "c.jsonl").write_text('{"id": "2", "text": "two"}\n{"id": "3", "text": "three"}\n')
    (folder / "b.md").unlink()
    world.embedder.texts.clear()
    report = world.sync()
    assert (report.added, report.changed, report.unchanged, report.deleted) == (1, 1, 1, 2)
    assert sorted(world.embedder.texts) == ["a\nThe floor is cold now.", "three"]
    assert world.sql("SELECT text FROM chunks ORDER BY text") == [("The floor is cold now.",), ("three",), ("two",)]
    assert world.sql("SELECT count(*) FROM vectors") == [(3,)]
    world.check()


def test_a_change_that_keeps_size_and_time_is_seen_while_the_file_is_young(world, folder):
    (folder / "a.txt").write_text("The floor is warm.")
    world.files(folder)
    times = (folder / "a.txt").stat()
    (folder / "a.txt").write_text("The floor is cold.")
    os.utime(folder / "a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert world.sync().changed == 1


def test_the_same_text_is_embedded_once_also_when_its_file_moves(world, folder):
    world.files(folder)
    world.embedder.texts.clear()
    (folder / "a.txt").rename(folder / "z.txt")
    report = world.sync()
    assert (report.added, report.deleted, report.reused) == (1, 1, 0)
    (folder / "sub").mkdir()
    (folder / "b.md").rename(folder / "sub" / "b.md")
    world.embedder.texts.clear()
    report = world.sync()
    assert (report.added, report.deleted, report.reused, world.embedder.texts) == (1, 1, 1, [])
    world.check()


def test_files_that_cannot_be_read_fail_one_by_one_and_the_rest_goes_on(world, folder):
    (folder / "empty.txt").write_text(" \n")
    (folder / "binary.txt").write_bytes(bytes(range(256)))
    (folder / "bad.jsonl").write_text('{"id": 1, "text": "good"}\n{\n')
    (folder / "big.txt").write_text("x " * 600)
    (folder / "photo.xyz").write_bytes(b"x")
    (folder / ".hidden.txt").write_text("secret")
    report = world.files(folder, folder / "photo.xyz", folder / "nothing.txt", limits=Limits(file_bytes=1000))
    reasons = {Path(item.item).name: item.reason for item in report.failed}
    assert set(reasons) == {"empty.txt", "binary.txt", "bad.jsonl#line 2", "big.txt", "photo.xyz", "nothing.txt"}
    assert "is empty" in reasons["empty.txt"]
    assert "larger than 0.001 MB" in reasons["big.txt"]
    assert "no reader knows" in reasons["photo.xyz"]
    assert "There is no file" in reasons["nothing.txt"]
    assert (report.added, report.skipped, report.ok) == (5, 1, False)
    assert not any(".hidden" in id for id in world.documents())


def test_paths_that_all_lead_nowhere_leave_no_store_behind(world, folder):
    assert len(world.files(folder / "nothing.txt", folder / "no").failed) == 2
    assert world.sql("SELECT count(*) FROM stores") == [(0,)]


def test_a_sync_embeds_the_store_of_another_embedder_anew_and_leaves_the_other_stores_as_they_are(world, folder):
    world.files(folder)
    world.embedder = CountingEmbedder("other")
    world.files(folder, store="zoo")
    first, second = sync(world.home, None, world.embedder, WordCounter())
    assert (first.unchanged, second.unchanged) == (4, 4)
    current = "SELECT s.name, g.model FROM generations g JOIN stores s ON s.id = g.store_id WHERE g.state = 'current' ORDER BY 1"
    assert world.sql(current) == [("notes", "other"), ("zoo", "other")]


def test_failures_are_counted_over_runs_and_forgotten_when_the_file_is_right(world, folder):
    (folder / "empty.txt").write_text("")
    world.files(folder)
    world.sync(retry=True)
    (source,) = world.status()
    (failure,) = source.failures
    assert (failure.attempts, failure.item) == (2, (folder / "empty.txt").as_posix())
    (folder / "empty.txt").write_text("filled")
    assert world.sync().added == 1
    assert world.status()[0].failures == ()


def test_a_file_that_can_no_longer_be_read_keeps_its_old_documents(world, folder):
    world.files(folder)
    (folder / "c.jsonl").write_text('{"id": "1", "text": "one"}\n{"id": "2", "te')
    (folder / "a.txt").write_bytes(b"")
    report = world.sync()
    assert (len(report.failed), report.deleted) == (2, 0)
    assert len(world.documents()) == 4


def test_a_folder_that_is_missing_as_a_whole_empties_nothing(world, folder):
    world.files(folder)
    folder.rename(folder.with_name("elsewhere"))
    report = world.sync()
    assert "There is no file or folder" in report.error
    assert len(world.documents()) == 4
    (source,) = world.status()
    assert source.failures[0].reason == report.error
    folder.with_name("elsewhere").rename(folder)
    assert world.sync().ok
    assert world.status()[0].failures == ()


def test_a_single_file_that_was_deleted_takes_its_document_along(world, folder):
    world.files(folder / "a.txt")
    (folder / "a.txt").unlink()
    assert world.sync().deleted == 1
    assert world.documents() == set()


def test_more_than_half_of_a_source_does_not_vanish_by_accident(world, folder):
    for number in range(50):
        (folder / f"n{number}.txt").write_text(f"note {number}")
    world.files(folder)
    for number in range(45):
        (folder / f"n{number}.txt").unlink()
    (folder / "new.txt").write_text("new")
    report = world.sync()
    assert "45 of 54 documents have vanished" in report.error
    assert "--allow-delete" in report.error
    assert (report.deleted, report.added) == (0, 1)
    assert world.sync(allow_delete=True).deleted == 45
    world.check()


def test_korean_names_have_one_id_in_both_unicode_forms(world, tmp_path):
    composed, decomposed = "한글 문서.txt", unicodedata.normalize("NFD", "한글 문서.txt")
    first, second = tmp_path / "x", tmp_path / "y"
    first.mkdir()
    second.mkdir()
    (first / decomposed).write_text("온돌")
    world.files(first)
    assert world.documents() == {(first / composed).as_posix()}
    (second / decomposed).write_text("하나")
    (second / composed).write_text("둘")
    report = world.files(second, store="other")
    assert (report.added, len(report.failed)) == (1, 1)
    assert "another Unicode form" in report.failed[0].reason


@pytest.mark.skipif(os.name == "nt", reason="links and odd names need rights there")
def test_links_in_a_circle_pipes_and_names_that_are_no_text_do_no_harm(world, folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "sub")
    (folder / "dead.txt").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.txt")
    (folder / "sub" / "d.txt").write_text("deep")
    with open(os.fsencode(folder) + b"/bad\xff.txt", "w") as file:  # noqa: PTH123 - pathlib can't spell it
        file.write("x")
    report = world.files(folder)
    assert report.added == 5
    assert sorted(Path(item.item).name for item in report.failed) == ["bad?.txt", "dead.txt"]


def test_paths_are_the_same_source_however_they_are_typed(world, folder, monkeypatch):
    world.files(folder)
    monkeypatch.chdir(folder)
    report = world.files(Path("../자료/."))
    assert report.unchanged == 4
    assert len(world.status()) == 1


def test_another_way_of_cutting_cuts_all_again_and_embeds_only_new_texts(world, folder):
    (folder / "long.txt").write_text(" ".join(f"One more sentence, number {number}, stands here." for number in range(20)))
    world.files(folder)
    world.embedder.texts.clear()
    report = world.sync(chunk=ChunkOptions(tokens=30, overlap=5, characters=100))
    assert report.changed == 5
    assert 4 < report.embedded == len(world.embedder.texts) == report.chunks - 4
    world.check()


def test_a_document_longer_than_a_batch_is_written_whole(world, folder):
    (folder / "long.txt").write_text("\n\n".join(f"Paragraph {number} " + "has some words in it. " * 40 for number in range(30)))
    report = world.files(folder, batch_chunks=8)
    assert report.embedded == report.chunks == 34
    world.check()


def test_an_empty_store_begins_with_the_embedder_in_use_and_keeps_nothing_of_the_one_before(world, folder):
    world.files(folder)
    for file in folder.iterdir():
        file.unlink()
    world.sync()
    (folder / "a.txt").write_text("again")
    world.embedder = CountingEmbedder("other")
    assert world.files(folder).added == 1
    assert world.sql("SELECT model FROM generations") == [("other",)]
    world.check()


def test_labels_reach_the_documents_and_stay_when_synced(world, folder):
    world.files(folder, access=("staff",), may_leave=True)
    assert set(world.sql("SELECT access, may_leave FROM documents")) == {('["staff"]', 1)}
    assert world.sync().unchanged == 4
    assert world.files(folder, access=()).changed == 4
    assert set(world.sql("SELECT access, may_leave FROM documents")) == {("[]", 1)}


def test_a_forgotten_document_stays_out_until_its_source_is_ingested_by_name(world, folder):
    world.files(folder)
    assert world.forget("notes", document=str(folder / "c.jsonl")).deleted == 2
    (folder / "c.jsonl").write_text('{"id": "1", "text": "uno"}\n{"id": "9", "text": "nine"}\n')
    assert world.sync().added == 1
    assert not any(id.endswith("#1") for id in world.documents())
    assert world.files(folder).added == 1
    world.check()


def test_forgetting_a_source_or_a_store_leaves_nothing_of_it(world, folder):
    world.files(folder / "a.txt", folder / "b.md")
    assert world.forget("notes", source=str(folder / "a.txt")).deleted == 1
    assert [source.name for source in world.status()] == [(folder / "b.md").as_posix()]
    with pytest.raises(NotFound, match="Did you mean"):
        world.forget("notes", source=str(folder / "b.me"))
    world.check()
    assert world.forget("notes").deleted == 1
    for table in ("stores", "generations", "sources", "documents", "chunks", "vectors", "chunk_text", "outbox"):
        assert world.sql(f"SELECT count(*) FROM {table}") == [(0,)], table
    with pytest.raises(StoreNotFound):
        world.forget("notes")


def test_a_file_in_two_sources_outlives_the_one_that_is_forgotten(world, folder):
    world.files(folder / "a.txt", folder)
    assert len(world.documents()) == 4
    world.forget("notes", source=str(folder / "a.txt"))
    assert len(world.documents()) == 3
    world.sync()
    assert len(world.documents()) == 4


def test_a_chunk_pk_is_never_given_twice(world, folder):
    world.files(folder)
    world.forget("notes")
    world.files(folder)
    assert world.sql("SELECT min(pk) FROM chunks") == [(5,)]


def test_a_second_writer_waits_and_says_so(world, folder):
    with FileLock(world.home.locks / "store-notes.lock", who="another run"):
        import threading

        run = threading.Thread(target=world.files, args=(folder,))
        run.start()
        while not world.events:
            pass
        assert isinstance(world.events[0], Waiting)
        assert "another run" in world.events[0].holder
        assert run.is_alive()
    run.join()
    assert len(world.documents()) == 4


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a\nb"])
def test_a_name_that_could_leave_its_folder_is_no_store(world, folder, name):
    with pytest.raises(BadRequest, match="can't be a store's name"):
        world.files(folder, store=name)


def test_events_tell_the_run_from_start_to_end(world, folder):
    (folder / "empty.txt").write_text("")
    world.files(folder)
    kinds = [type(event) for event in world.events]
    assert kinds == [Started, ItemFailed, Committed, Finished]
    assert world.events[0].total == world.events[2].items == 4
    assert world.events[3].report.added == 4


def test_an_embedder_that_breaks_leaves_what_was_committed(world, folder):
    class Breaks(CountingEmbedder):
        def passages(self, texts):
            if any("two" in text for text in texts):
                raise ConnectionError("gone")
            return super().passages(texts)

    world.embedder = Breaks()
    with pytest.raises(ConnectionError):
        world.files(folder, batch_chunks=1)
    assert len(world.documents()) == 3
    assert "gone" in world.status()[0].failures[0].reason
    world.embedder = CountingEmbedder()
    report = world.sync()
    assert (report.added, report.unchanged, world.embedder.texts) == (1, 3, ["two"])
    world.check()


def test_the_book_is_not_for_other_eyes_than_its_owner_where_modes_exist(world, folder):
    world.files(folder)
    assert world.home.book.exists()
    if os.name != "nt":
        assert stat.S_IMODE(world.home.book.stat().st_mode) & 0o077 == 0


def test_tools_are_taken_ready_made_or_made_when_needed():
    embedder, counter = CountingEmbedder(), WordCounter()
    assert Tools(embedder, counter).embedder() is embedder
    lazy = Tools(lambda: embedder, lambda: counter)
    assert lazy.fingerprints() is None
    assert (lazy.embedder(), lazy.counter()) == (embedder, counter)
