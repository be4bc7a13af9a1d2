from __future__ import annotations

import pytest

from models.pull.projector import projector_of


@pytest.mark.parametrize(
    ("beside", "found"),
    [
        (["mmproj-F16.gguf"], "mmproj-F16.gguf"),
        (["mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        (["mmproj-model-f16.gguf", "Gemma-3-4b-it-Q8_0.gguf"], "mmproj-model-f16.gguf"),
        (["mmproj-Gemma-3-4b-it-Q8_0.gguf", "mmproj-SmolVLM-f16.gguf", "SmolVLM-Q8_0.gguf"], "mmproj-Gemma-3-4b-it-Q8_0.gguf"),
        (["mmproj-gemma-3-4b.gguf", "other.gguf"], "mmproj-gemma-3-4b.gguf"),
    ],
)
def test_a_model_sees_by_the_projector_of_its_name_or_the_only_one_of_its_folder(beside: list[str], found: str) -> None:
    assert projector_of("Gemma-3-4b-it-Q4_K_M.gguf", ["Gemma-3-4b-it-Q4_K_M.gguf", "README.md", *beside]) == found


@pytest.mark.parametrize(
    "beside",
    [
        [],
        ["mmproj-F16.gguf", "Another-7b-Q4_K_M.gguf"],
        ["mmproj-SmolVLM-f16.gguf", "SmolVLM-Q8_0.gguf"],
        ["mmproj-one.gguf", "mmproj-two.gguf"],
        ["eyes/mmproj-F16.gguf"],
    ],
)
def test_where_it_can_not_be_told_whose_a_projector_is_none_is_taken(beside: list[str]) -> None:
    assert projector_of("Gemma-3-4b-it-Q4_K_M.gguf", ["Gemma-3-4b-it-Q4_K_M.gguf", *beside]) == ""
