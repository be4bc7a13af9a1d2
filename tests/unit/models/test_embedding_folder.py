from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core.errors import ItemError
from models.embedding_folder import read_card, read_facts


def folder(at: Path, **files: object) -> Path:
    base: dict[str, object] = {
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
        "config.json": {"hidden_size": 384, "max_position_embeddings": 512},
        "1_Pooling/config.json": {"word_embedding_dimension": 384},
    }
    for name, content in {**base, **files}.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(json.dumps(content), "utf-8")
    return at


def test_the_room_for_a_text_is_the_models_length_without_special_tokens_and_prefix(tmp_path: Path) -> None:
    assert read_facts(folder(tmp_path), "m").max_tokens == 510
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 256}', "utf-8")
    assert read_facts(tmp_path, "m").max_tokens == 254


def test_a_dense_layer_at_the_end_decides_the_dimensions(tmp_path: Path) -> None:
    modules = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    assert read_facts(folder(tmp_path, **{"modules.json": modules, "2_Dense/config.json": {"out_features": 128}}), "m").dimensions == 128


def test_prefixes_come_from_the_models_configuration_else_from_its_family(tmp_path: Path) -> None:
    facts = read_facts(folder(tmp_path / "e5"), "multilingual-e5-small")
    assert (facts.query_prefix, facts.passage_prefix) == ("query: ", "passage: ")
    own = {"config_sentence_transformers.json": {"prompts": {"query": "Question: ", "document": "Text: "}}}
    facts = read_facts(folder(tmp_path / "own", **own), "multilingual-e5-small")
    assert (facts.query_prefix, facts.passage_prefix) == ("Question: ", "Text: ")


def test_a_setting_that_changes_vectors_changes_the_digest(tmp_path: Path) -> None:
    before = read_facts(folder(tmp_path), "m").digest
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text("utf-8").replace("}", ', "pooling_mode_cls_token": true}'), "utf-8")
    assert read_facts(tmp_path, "m").digest != before


@pytest.mark.parametrize("kind", ["modeling_evil.Model", "os.system", ""])
def test_a_model_that_would_run_code_of_its_own_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ItemError, match="code of its own"):
        read_facts(folder(tmp_path, **{"modules.json": [{"path": "", "type": kind}]}), "m")


def test_a_module_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    modules = [{"path": "../elsewhere", "type": "sentence_transformers.models.Transformer"}]
    with pytest.raises(ItemError, match="outside"):
        read_facts(folder(tmp_path, **{"modules.json": modules}), "m")


def test_a_folder_that_lacks_a_file_or_has_a_broken_one_says_which(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"modules\.json"):
        read_facts(tmp_path, "m")
    (folder(tmp_path) / "config.json").write_text("{", "utf-8")
    with pytest.raises(ItemError, match=r"config\.json is not valid JSON"):
        read_facts(tmp_path, "m")


def test_a_card_gives_its_title_and_licence() -> None:
    assert read_card("---\nlanguage: en\nlicense: apache-2.0\n---\n\n# all-MiniLM-L6-v2\n# More\n") == ("all-MiniLM-L6-v2", "apache-2.0")
    assert read_card("no card") == ("", "")
