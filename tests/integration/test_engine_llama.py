"""The doorway to llama.cpp: what is checked before it is trusted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import pytest

from app.core.errors import BadRequest, BadSetting
from models.engine.llama import binding
from models.engine.llama.model import Model

ROOT = Path(__file__).resolve().parents[2]


def test_the_installed_library_passes_the_self_test() -> None:
    binding.self_test()


def test_another_version_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "__version__", "0.3.99")
    with pytest.raises(BadSetting, match=r"need llama-cpp-python 0\.3\.\d+, but 0\.3\.99"):
        binding.self_test()


def test_a_structure_that_has_moved_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved() -> object:
        params = llama_cpp.llama_cpp.llama_context_params()
        params.n_ctx = 512
        return params

    monkeypatch.setattr(llama_cpp.llama_cpp, "llama_context_default_params", moved)
    with pytest.raises(BadSetting, match="does not fit"):
        binding.self_test()


def test_the_version_that_the_code_was_written_for_is_the_one_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"llama-cpp-python=={binding.PINNED}" in project["optional-dependencies"]["local"]


def test_a_whole_file_that_llama_can_not_load_is_refused_with_llamas_own_reason(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "no-such-architecture")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(BadRequest, match="no-such-architecture"):
        Model(path)


def test_the_gpus_are_listed_without_one_too() -> None:
    assert all(device.total >= device.free > 0 for device in binding.devices())
