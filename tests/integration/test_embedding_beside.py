"""Reading and embedding side by side: what is read on, what is written when, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from ingest_world import CountingEmbedder, World

from app.core.errors import OndolError
from ingest.embedding import SLICE, Embedding, awaited
from ingest.report import Committed, Event
from ingest.run import Options
from ingest.sync import ingest_files
from models.embedder import EmbedderInfo, Vectors
from models.hash_embedder import HashEmbedder, WordCounter


class Held(HashEmbedder):
    """Embeds when it is let go."""

    def __init__(self) -> None:
        super().__init__(16)
        self.asked: list[list[str]] = []
        self.entered, self.go = threading.Event(), threading.Event()

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        self.entered.set()
        assert self.go.wait(30)
        return super().passages(texts)


class Wrong:
    info = EmbedderInfo("wrong", "wrong-1", 8, 256)

    def passages(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 7), dtype=np.float32)


def test_texts_given_later_wait_and_each_batch_gets_its_own_vectors() -> None:
    embedder, embedding = Held(), Embedding()
    futures = [embedding.begin(embedder, {str(number): f"text {number}"}) for number in range(3)]
    assert not any(future.done() for future in futures)
    embedder.go.set()
    for number, future in enumerate(futures):
        (vector,) = awaited(future).values()
        np.testing.assert_array_equal(np.frombuffer(vector, "<f4"), embedder.passages([f"text {number}"])[0])
    embedding.close()


class Together(Held):
    """Embeds only where two ask at once."""

    def __init__(self) -> None:
        super().__init__()
        self.two = threading.Barrier(2)

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.two.wait(30)
        return super().passages(texts)


def test_two_slices_are_embedded_at_once() -> None:
    embedder, embedding = Together(), Embedding()
    embedder.go.set()
    texts = {str(n): "x" * n for n in range(4 * SLICE)}
    made = awaited(embedding.begin(embedder, texts))
    assert made.keys() == texts.keys()
    np.testing.assert_array_equal(np.frombuffer(made["77"], "<f4"), HashEmbedder(16).passages(["x" * 77])[0])
    embedding.close()


def test_nothing_to_embed_is_made_at_once() -> None:
    embedding = Embedding()
    assert awaited(embedding.begin(Held(), {})) == {}
    embedding.close()


def test_one_who_gives_up_waits_for_the_slices_under_way_and_no_longer() -> None:
    embedder, embedding = Together(), Embedding()
    long, later = embedding.begin(embedder, {str(n): "x" * n for n in range(3 * SLICE)}), embedding.begin(embedder, {"a": "b"})
    assert embedder.entered.wait(30)
    closing = threading.Thread(target=embedding.close)
    closing.start()
    assert embedding._closed.wait(30)
    embedder.go.set()
    closing.join(30)
    assert [len(texts) for texts in embedder.asked] == [SLICE, SLICE]
    assert long.exception() is not None
    assert later.exception() is not None


def test_one_who_gives_up_waits_for_no_more_than_the_texts_that_the_embedder_has_taken_by_then() -> None:
    class Slow(CountingEmbedder):
        def passages(self, texts: Sequence[str]) -> Vectors:
            taken.append(texts[0])
            entered.set()
            assert go.wait(30)
            taken.extend(texts[at] for at in range(1, len(texts)))
            return super().passages(taken)

    taken: list[str] = []
    entered, go, embedding = threading.Event(), threading.Event(), Embedding()
    future = embedding.begin(Slow(), {str(n): "x" * n for n in range(1, SLICE)})
    assert entered.wait(30)
    closing = threading.Thread(target=embedding.close)
    closing.start()
    assert embedding._closed.wait(30)
    go.set()
    closing.join(30)
    assert isinstance(future.exception(), CancelledError)
    assert taken == ["x"]


def test_an_embedder_that_breaks_its_contract_is_named_to_the_one_who_waits() -> None:
    embedding = Embedding()
    with pytest.raises(OndolError, match=r"The embedder wrong returned vectors of shape \(1, 7\) for 1 texts"):
        awaited(embedding.begin(Wrong(), {"a": "b"}))  # type: ignore[arg-type]
    embedding.close()


def test_a_slice_that_fails_fails_the_texts_it_was_asked_for_with_and_the_next_ones_are_embedded() -> None:
    class Breaking(CountingEmbedder):
        def passages(self, texts: Sequence[str]) -> Vectors:
            if "" in texts:
                raise OndolError("The embedder has broken.")
            return super().passages(texts)

    embedding, embedder = Embedding(), Breaking()
    broken, whole = (embedding.begin(embedder, {str(n): "x" * n for n in range(first, 5 * SLICE)}) for first in (0, 1))
    with pytest.raises(OndolError, match="has broken"):
        awaited(broken)
    assert len(awaited(whole)) == 5 * SLICE - 1
    embedding.close()


def notes(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"n{number:03}.txt").write_text(f"Note {number} has its own words.")
    return folder


def test_a_run_reads_on_while_its_first_batch_is_embedded_but_only_so_far(tmp_path: Path) -> None:
    world, embedder = World(tmp_path / "home"), Held()
    world.home.root.mkdir()
    file = tmp_path / "notes.jsonl"
    file.write_text("".join(f'{{"id": "{n}", "text": "record {n} of many"}}\n' for n in range(2000)))
    done: list[int] = []

    def run() -> None:
        ingest_files(world.home, [file], "notes", embedder, WordCounter(), options=Options(batch_chunks=100))
        done.append(1)

    running = threading.Thread(target=run)
    running.start()
    assert embedder.entered.wait(30)
    assert world.sql("SELECT count(*) FROM documents") == [(0,)]
    embedder.go.set()
    running.join(60)
    assert done == [1]
    world.check()
    assert world.sql("SELECT count(*) FROM documents") == [(2000,)]


def test_the_embedder_has_its_first_texts_long_before_a_batch_is_full(tmp_path: Path) -> None:
    world, embedder = World(tmp_path / "home"), Held()
    world.home.root.mkdir()
    file = tmp_path / "notes.jsonl"
    file.write_text("".join(f'{{"id": "{n}", "text": "record {n} of many"}}\n' for n in range(1000)))
    embedder.go.set()
    ingest_files(world.home, [file], "notes", embedder, WordCounter())
    assert sorted(map(len, embedder.asked)) == [64, 424, 512]
    world.check()


def test_an_embedder_that_fails_in_the_middle_leaves_the_batches_before_it_and_the_next_run_goes_on(tmp_path: Path) -> None:
    class Failing(CountingEmbedder):
        def passages(self, texts: Sequence[str]) -> Vectors:
            if any("Note 31 " in text for text in texts):
                raise OndolError("The embedder has broken.")
            return super().passages(texts)

    world, folder = World(tmp_path / "home"), notes(tmp_path / "notes", 60)
    world.home.root.mkdir()
    world.embedder = Failing()
    with pytest.raises(OndolError, match="has broken"):
        world.files(folder, batch_chunks=10)
    world.check()
    assert len(world.documents()) == 30
    world.embedder = CountingEmbedder()
    report = world.files(folder, batch_chunks=10)
    assert (report.added, report.unchanged, len(world.embedder.texts)) == (30, 30, 30)
    world.check()


def test_ctrl_c_in_the_middle_ends_the_thread_and_keeps_what_was_written(tmp_path: Path) -> None:
    world, folder = World(tmp_path / "home"), notes(tmp_path / "notes", 60)
    world.home.root.mkdir()

    def stop(event: Event) -> None:
        if isinstance(event, Committed) and event.documents >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_files(world.home, [folder], "notes", CountingEmbedder(), WordCounter(), on_event=stop, options=Options(batch_chunks=10))
    assert not [thread for thread in threading.enumerate() if thread.name == "embedding"]
    world.check()
    assert 20 <= len(world.documents()) < 60


def test_a_text_that_stands_in_many_batches_is_embedded_once(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.home.root.mkdir()
    file = tmp_path / "same.jsonl"
    file.write_text("".join(f'{{"id": "{n}", "text": "the very same words"}}\n' for n in range(300)))
    report = world.files(file, batch_chunks=20)
    assert (report.chunks, report.embedded, report.reused) == (300, 1, 299)
    world.check()


def test_a_text_that_leaves_one_batch_and_comes_with_a_later_one_has_its_vector(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.home.root.mkdir()
    file = tmp_path / "rows.jsonl"

    def write(first: str, last: str) -> None:
        texts = [first, *(f"row {number}" for number in range(1, 59)), last]
        file.write_text("".join(f'{{"id": "{n}", "text": "{text}"}}\n' for n, text in enumerate(texts)))

    write("moves away", "last")
    world.files(file, batch_chunks=1)
    write("first now", "moves away")
    world.files(file, batch_chunks=1)
    world.check()
