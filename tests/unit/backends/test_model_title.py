from __future__ import annotations

from pathlib import Path

import pytest

from app.backends.llama import title
from models.installed import InstalledModel


def model(id: str, file: str, quant: str = "", kind: str = "chat") -> InstalledModel:
    return InstalledModel(id, kind, Path("models") / id / file, 1, "", "", 0.0, "", quant=quant)


@pytest.mark.parametrize(
    ("id", "file", "quant", "expected"),
    [
        ("smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1", "SmolLM2-135M-Instruct (Q4_1)"),
        ("qwen3-4b-q8_0", "Qwen3-4B-Q8_0.gguf", "Q8_0", "Qwen3-4B (Q8_0)"),
        ("big-70b", "Big-70B-Q4_K_M-00001-of-00004.gguf", "", "Big-70B (Q4_K_M)"),
        ("some-repository", "ggml-model-q4_0.gguf", "Q4_0", "some-repository (Q4_0)"),
        ("우리-모델", "우리 모델.gguf", "", "우리 모델"),
    ],
)
def test_a_models_name_for_people_is_its_files_own_with_the_quantisation(id: str, file: str, quant: str, expected: str) -> None:
    assert title(model(id, file, quant)) == expected


def test_an_embedding_model_goes_by_its_id() -> None:
    assert title(model("all-minilm-l6-v2", "all-minilm-l6-v2", kind="embedding")) == ""
