from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import BadRequest
from models.gguf import read_header


def write(path: Path, *, heads_per_layer: bool = False, parts: int = 0) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("아주 작은 모델")
    writer.add_block_count(2)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv([2, 0] if heads_per_layer else 2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_token_list(["a", "b", "<|im_end|>"])
    writer.add_token_types([1, 1, 3])
    writer.add_chat_template("{{ messages }}")
    writer.add_bool("general.flag", True)
    if parts:
        writer.add_uint16("split.count", parts)
    writer.add_tensor("token_embd.weight", np.zeros((3, 64), np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((64, 64), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "모델 파일.gguf")


def test_a_header_tells_what_the_model_is(model: Path) -> None:
    header = read_header(model)
    assert (header.architecture, header.name, header.quantisation) == ("llama", "아주 작은 모델", "Q4_0")
    assert (header.context_length, header.layers, header.embedding, header.heads) == (2048, 2, 64, 4)
    assert header.parameters == 3 * 64 + 64 * 64
    assert header.chat_template == "{{ messages }}"
    assert header.file_size == model.stat().st_size


def test_the_cache_of_one_token_is_keys_and_values_of_every_layer_in_16_bits(model: Path) -> None:
    assert read_header(model).kv_bytes_per_token == 2 * (2 * 2 * 16) * 2


def test_heads_given_per_layer_count_with_the_largest(tmp_path: Path) -> None:
    assert read_header(write(tmp_path / "m.gguf", heads_per_layer=True)).kv_bytes_per_token == 256


def test_a_download_that_stopped_early_is_refused_with_the_missing_size(model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(BadRequest, match="cut off") as refused:
        read_header(short)
    assert refused.value.code == "bad_model_file"


def test_a_model_in_several_files_counts_with_all_of_them_and_misses_none(tmp_path: Path) -> None:
    first = write(tmp_path / "큰 모델-00001-of-00002.gguf", parts=2)
    with pytest.raises(BadRequest, match=r"큰 모델-00002-of-00002\.gguf is missing"):
        read_header(first)
    first.with_name("큰 모델-00002-of-00002.gguf").write_bytes(b"x" * 1000)
    assert read_header(first).file_size == first.stat().st_size + 1000
    with pytest.raises(BadRequest, match="not the first of its 2 parts"):
        read_header(first.rename(tmp_path / "renamed.gguf"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "only 0 bytes"),
        (b"GGUF", "only 4 bytes"),
        (b"<html>not found</html>" + b" " * 40, "letters GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version is 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "can't be right"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "can't be right"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62), "longer than any key"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 7_000_000), "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1), "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 99), "unknown type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no architecture"),
    ],
)
def test_what_is_no_gguf_file_is_refused_with_the_reason(data: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(BadRequest, match=why):
        read_header(path)


def accepted_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with contextlib.suppress(BadRequest):
        assert read_header(path).file_size == len(data)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=6), length=st.integers(0, 20_000))
def test_no_damage_to_a_header_raises_anything_else(model: Path, tmp_path: Path, changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(model.read_bytes())
    for at, value in changes:
        data[at] = value
    accepted_or_refused(tmp_path / "changed.gguf", bytes(data[:length]))


def test_a_header_cut_at_any_byte_is_refused(model: Path, tmp_path: Path) -> None:
    data, path = model.read_bytes(), tmp_path / "cut.gguf"
    for length in range(0, len(data) - 8192, 7):
        path.write_bytes(data[:length])
        with pytest.raises(BadRequest):
            read_header(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(8, 900), number=st.sampled_from([2**16, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
def test_an_absurd_number_anywhere_in_a_header_costs_no_memory(model: Path, tmp_path: Path, at: int, number: int) -> None:
    import tracemalloc

    data = bytearray(model.read_bytes())
    data[at : at + 8] = struct.pack("<Q", number)
    tracemalloc.start()
    try:
        accepted_or_refused(tmp_path / "absurd.gguf", bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
