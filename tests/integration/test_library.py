from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_models import gguf_bytes, sentence_files, wheel, write_files
from tiny_vectors import embedder, reranker

from app.core.errors import BadRequest, Conflict, DiskFull, ItemError, ModelNotFound, NotFound
from app.core.locks import FileLock
from models import disk
from models.library import Library
from models.pull.spec import parse

PULL = """
import sys
from pathlib import Path
from models.library import Library
print("begins", flush=True)
Library(Path(sys.argv[1])).pull(sys.argv[2])
"""


def gguf(path: Path, *, rows: int = 64, seed: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(rows=rows, seed=seed))
    return f"file:{path}"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Two chat models and two embedding models."""
    library = Library(tmp_path / "models")
    library.pull(gguf(tmp_path / "small-Q4_K_M.gguf"))
    library.pull(gguf(tmp_path / "large-Q4_K_M.gguf", rows=500))
    library.pull(f"file:{write_files(tmp_path / 'first-embedder', sentence_files(seed=1))}")
    library.pull(f"file:{write_files(tmp_path / 'other-embedder', sentence_files(seed=2))}")
    return library


def test_the_list_says_what_there_is(library: Library, tmp_path: Path) -> None:
    assert [(model.id, model.kind) for model in library.list()] == [
        ("first-embedder", "embedding"),
        ("large", "chat"),
        ("other-embedder", "embedding"),
        ("small", "chat"),
    ]
    small = library.find("small")
    assert small.path == tmp_path / "models" / "small" / "small-Q4_K_M.gguf"
    assert (small.architecture, small.context, small.parameters, small.quant) == ("llama", 2048, 2048, "Q4_K_M")
    assert small.size_bytes == small.path.stat().st_size


def test_without_a_choice_the_largest_chat_model_and_the_first_embedder_are_the_defaults(library: Library) -> None:
    assert library.find("default").id == "large"
    assert library.find("", kind="embedding").id == "first-embedder"


def test_a_choice_of_defaults_outlives_the_process_and_its_model(library: Library, tmp_path: Path) -> None:
    library.use("small")
    library.use("other-embedder")
    again = Library(tmp_path / "models")
    assert (again.find("default").id, again.find("default", kind="embedding").id) == ("small", "other-embedder")
    again.remove("small")
    assert again.find("default").id == "large"
    assert json.loads((tmp_path / "models" / "defaults.json").read_text("utf-8")) == {"embedding": "other-embedder"}


def test_damaged_defaults_count_as_no_choice(library: Library, tmp_path: Path) -> None:
    (tmp_path / "models" / "defaults.json").write_text("{half", "utf-8")
    assert library.find("default").id == "large"


@pytest.mark.parametrize("id", ["smal", "../small", "C:\\small", "small/", "SMALL"])
def test_an_unknown_id_is_not_found_whatever_it_looks_like(library: Library, id: str) -> None:
    with pytest.raises(ModelNotFound):
        library.find(id)
    with pytest.raises(ModelNotFound):
        library.remove(id)
    assert len(library.list()) == 4


def test_a_model_that_is_not_there_is_answered_with_the_nearest_that_is(library: Library) -> None:
    with pytest.raises(ModelNotFound, match="large") as missing:
        library.find("larje")
    assert "Did you mean large?" in str(missing.value)
    with pytest.raises(ModelNotFound, match="ondol models pull"):
        Library(Path("nowhere")).find("default")


def test_a_chat_model_is_no_embedder(library: Library) -> None:
    with pytest.raises(ModelNotFound, match="embedding model 'small'"):
        library.find("small", kind="embedding")


def test_the_alias_can_not_be_removed(library: Library) -> None:
    with pytest.raises(BadRequest, match="stands for another"):
        library.remove("default")


def test_a_removed_model_is_gone_from_the_list_and_the_disk(library: Library, tmp_path: Path) -> None:
    library.remove("large")
    assert "large" not in [model.id for model in library.list()]
    assert not list((tmp_path / "models").rglob("large-Q4_K_M.gguf"))
    assert (tmp_path / "large-Q4_K_M.gguf").exists(), "the owner's own file stays"


@pytest.mark.parametrize("harm", ["record missing", "record cut", "weights cut", "weights missing", "record points outside"])
def test_a_damaged_model_is_not_in_the_list_can_be_removed_and_pulled_again(library: Library, tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "models" / "small"
    record, weights = folder / "model.json", folder / "small-Q4_K_M.gguf"
    if harm == "record missing":
        record.unlink()
    elif harm == "record cut":
        record.write_bytes(record.read_bytes()[:40])
    elif harm == "weights missing":
        weights.unlink()
    elif harm == "record points outside":
        record.write_text(record.read_text("utf-8").replace('"small-Q4_K_M.gguf"', '"../large/large-Q4_K_M.gguf"'), "utf-8")
    else:
        # A hard link to the owner's file: replaced, not cut in place.
        weights.unlink()
        weights.write_bytes(b"GGUF")
    assert "small" not in [model.id for model in library.list()]
    assert library.pull(f"file:{tmp_path / 'small-Q4_K_M.gguf'}").id == "small"
    assert library.find("small").path.read_bytes() == gguf_bytes()


def test_the_same_bytes_from_elsewhere_are_the_model_that_is_here(library: Library, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "small-Q4_K_M.gguf"
    copy.parent.mkdir()
    shutil.copy(tmp_path / "small-Q4_K_M.gguf", copy)
    assert library.pull(f"file:{copy}").source == f"file:{tmp_path / 'small-Q4_K_M.gguf'}"
    assert len(library.list()) == 4


def test_another_model_of_the_same_name_gets_another_id(library: Library, tmp_path: Path) -> None:
    assert library.pull(gguf(tmp_path / "a" / "small-Q4_K_M.gguf", seed=5)).id == "small-q4_k_m"
    assert library.pull(gguf(tmp_path / "b" / "small-Q4_K_M.gguf", seed=6)).id == "small-2"
    assert library.find("small").path.read_bytes() == gguf_bytes()


@pytest.mark.parametrize("path", ["none.gguf", "notes.txt", "empty"])
def test_a_path_that_is_no_model_says_what_would_be_one(library: Library, tmp_path: Path, path: str) -> None:
    (tmp_path / "notes.txt").write_text("hello", "utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises((NotFound, BadRequest)) as refused:
        library.pull(f"file:{tmp_path / path}")
    assert refused.value.hint


def test_a_zip_that_is_damaged_is_refused(library: Library, tmp_path: Path) -> None:
    made = wheel(tmp_path, "acme-tiny", {"Tiny.gguf": gguf_bytes(rows=5_000)})
    content = bytearray(made.read_bytes())
    content[300_000] ^= 1
    made.write_bytes(content)
    with pytest.raises(ItemError, match=r"Tiny\.gguf"):
        library.pull(f"file:{made}")
    assert len(library.list()) == 4


def test_a_part_of_another_model_is_no_model(library: Library, tmp_path: Path) -> None:
    (tmp_path / "vision.gguf").write_bytes(gguf_bytes(architecture="clip"))
    with pytest.raises(BadRequest, match="no model of its own"):
        library.pull(f"file:{tmp_path / 'vision.gguf'}")


def test_a_gguf_that_embeds_or_reranks_is_no_chat_model_nor_what_stores_are_filled_with(tmp_path: Path) -> None:
    library = Library(tmp_path / "models")
    made = [library.pull(f"file:{make(tmp_path / name)}") for name, make in (("e.gguf", embedder), ("r.gguf", reranker))]
    assert [model.kind for model in made] == ["embedding", "rerank"]
    assert (library.default_chat(), library.default_embedder()) == (None, None)
    with pytest.raises(BadRequest, match="stores are filled"):
        library.use("e")
    library.pull(f"file:{reranker(tmp_path / 'later.gguf', seed=8)}")
    assert [library.default_reranker(), library.use("later"), library.default_reranker()] == [
        made[1],
        library.find("later"),
        library.find("later"),
    ]


def test_a_disk_without_room_is_refused_with_the_numbers_before_anything_is_written(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gguf(tmp_path / "third.gguf", rows=2_000_000 // 128)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk.MARGIN + 1_000_000))
    with pytest.raises(DiskFull, match=r"needs 2 MB.*has 269 MB"):
        library.pull(source)
    assert len(library.list()) == 4


def test_a_disk_that_fills_up_in_mid_write_leaves_the_list_whole(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    made = wheel(tmp_path, "acme-tiny", {"Tiny.gguf": gguf_bytes()})
    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(DiskFull):
        library.pull(f"file:{made}")
    monkeypatch.undo()
    assert len(library.list()) == 4
    assert library.pull(f"file:{made}").id == "tiny"


def test_a_second_puller_of_one_source_waits_or_is_told_who_holds_it(library: Library, tmp_path: Path) -> None:
    source = gguf(tmp_path / "third.gguf")
    with (
        FileLock(tmp_path / "models" / ".locks" / f"{parse(source).key}.lock", who="the pull of third"),
        pytest.raises(Conflict, match="the pull of third"),
    ):
        library.pull(source, wait=0)
    assert library.pull(source, wait=0).id == "third"


def test_a_pull_killed_at_any_moment_leaves_a_whole_model_or_none(tmp_path: Path) -> None:
    made = wheel(tmp_path, "acme-tiny", {"Tiny.gguf": gguf_bytes(rows=120_000)})
    library, unfinished = Library(tmp_path / "models"), 0
    # Close together at first: how long a pull takes differs much between machines.
    for moment in (0, 0, 1, 2, 4, 8, 12, 20, 40, 70, 110, 180):
        process = subprocess.Popen([sys.executable, "-c", PULL, str(tmp_path / "models"), f"file:{made}"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moment / 1000)
        process.kill()
        process.communicate()
        found = library.list()
        unfinished += not found
        for model in found:
            assert model.path.read_bytes() == gguf_bytes(rows=120_000)
            library.remove(model.id)
    assert unfinished, "at least the kill at once came before the end"
    assert library.pull(f"file:{made}").id == "tiny"
    library.clean()
    assert not list((tmp_path / "models" / ".partial").iterdir())


def test_a_clean_up_leaves_a_running_pull_alone(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for name in ("running", "forgotten"):
        write_files(tmp_path / ".partial" / name, {"bytes.part": b"x" * 1000})
    with FileLock(tmp_path / ".locks" / "running.lock"):
        assert library.clean() == 1000
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == ["running"]


def test_the_library_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "llama_cpp", "huggingface_hub", "tokenizers")
    look = f"import sys, models.library, models.embed_client; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.strip() == "[]"
