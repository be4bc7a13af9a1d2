"""What a GGUF file says of itself, read with plain struct code before any native code opens it.

Every count and length is checked against the file's size before it is believed, so that a truncated, damaged or hostile file gives
one clear error (BadRequest, code "bad_model_file"), never a crash and never a large allocation: the file is mapped, not read.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import BadRequest

# Scalar value types of the format, by number: (struct code, bytes). 8 is a string, 9 an array.
_SCALARS = {
    0: ("B", 1),
    1: ("b", 1),
    2: ("H", 2),
    3: ("h", 2),
    4: ("I", 4),
    5: ("i", 4),
    6: ("f", 4),
    7: ("?", 1),
    10: ("Q", 8),
    11: ("q", 8),
    12: ("d", 8),
}
_STRING, _ARRAY = 8, 9
_LARGEST = {"keys": 65_536, "tensors": 1_000_000, "key": 1024, "array": 8_000_000}
_KEPT_ARRAY = 1024  # elements; the vocabulary and its merges are longer and are passed over

# fmt: off
# Bytes of a tensor type: (values in a block, bytes of a block). A type that is newer than this table is not checked.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}
_QUANTISATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
    14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}
# fmt: on


class Header(msgspec.Struct, frozen=True):
    """A model as its file describes it. `context_length` in tokens, `parameters` as a count, sizes in bytes; 0 or "" where it is silent.

    Of a model in several files, `file_size` is of all, `parameters` of the first. `kv_bytes_per_token` is one token's share of a
    KV cache of 16-bit values, over all layers. `pooling`: how many tokens become one vector, by llama.cpp's number;
    None where the file says nothing of it.
    """

    architecture: str
    name: str
    context_length: int
    parameters: int
    quantisation: str
    file_size: int
    chat_template: str
    layers: int
    embedding: int
    heads: int
    kv_bytes_per_token: int
    pooling: int | None = None


def read_header(path: Path) -> Header:
    """Read and check a file's header. BadRequest where it is no whole GGUF file; NotFound is left to the caller (OSError)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 24:
            raise _bad(path, f"it has only {size} bytes")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                header, parts = _header(_Reader(data, size), size)
                return msgspec.structs.replace(header, file_size=sum(part.stat().st_size for part in _parts(path, parts)))
            except _Refused as refused:
                raise _bad(path, str(refused)) from None


def _bad(path: Path, why: str) -> BadRequest:
    return BadRequest(f"{path.name} is not a usable GGUF file: {why}.", hint="Pull the model again.", code="bad_model_file")


def _parts(path: Path, count: int) -> list[Path]:
    """The files of a model that is split in `count` files, of which `path` is the first."""
    if count <= 1:
        return [path]
    suffix = f"-00001-of-{count:05}"
    if not path.stem.endswith(suffix):
        raise _Refused(f"it is not the first of its {count} parts (*{suffix}.gguf)")
    parts = [path.with_name(f"{path.stem.removesuffix(suffix)}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    if missing := next((part.name for part in parts if not part.is_file()), ""):
        raise _Refused(f"its part {missing} is missing")
    return parts


class _Refused(Exception):
    pass


class _Reader:
    """A place in the mapped file; every read is checked against its end."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self.data, self.size, self.at = data, size, 0

    def skip(self, size: int) -> int:
        start = self.at
        if size > self.size - start:
            raise _Refused("it is cut off")
        self.at += size
        return start

    def scalar(self, code: str, size: int) -> Any:
        return struct.unpack_from(f"<{code}", self.data, self.skip(size))[0]

    def count(self, what: str) -> int:
        found = int(self.scalar("Q", 8))
        if found > _LARGEST[what]:
            raise _Refused(f"a count of {found} ({what}) can't be right")
        return found

    def string(self) -> str:
        size = self.scalar("Q", 8)
        start = self.skip(size)
        return self.data[start : start + size].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self.scalar(*_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        raise _Refused(f"it holds a value of the unknown type {kind}")

    def _array(self) -> list[Any] | None:
        kind, length = self.scalar("I", 4), self.count("array")
        if kind in _SCALARS:
            code, size = _SCALARS[kind]
            start = self.skip(size * length)
            return list(struct.unpack_from(f"<{length}{code}", self.data, start)) if length <= _KEPT_ARRAY else None
        if kind != _STRING:
            raise _Refused(f"it holds an array of the unknown type {kind}")
        for _ in range(length):
            self.skip(self.scalar("Q", 8))
        return None


def _header(reader: _Reader, size: int) -> tuple[Header, int]:
    """The header, and in how many files the model comes."""
    if reader.data[:4] != b"GGUF":
        raise _Refused("it does not begin with the letters GGUF")
    reader.skip(4)
    version = reader.scalar("I", 4)
    if version not in (2, 3):
        big = version in (2 << 24, 3 << 24)
        raise _Refused("it was written for big-endian machines" if big else f"its format version is {version}, and 2 and 3 are known")
    tensors, keys = reader.count("tensors"), reader.count("keys")
    values: dict[str, Any] = {}
    for _ in range(keys):
        key = _key(reader)
        values[key] = reader.value(reader.scalar("I", 4))
    parameters = _tensors(reader, tensors, size, _number(values, "general.alignment", 32))
    return _describe(values, parameters, size), min(_number(values, "split.count"), 99_999)


def _key(reader: _Reader) -> str:
    before = reader.at
    if reader.scalar("Q", 8) > _LARGEST["key"]:
        raise _Refused("a key is longer than any key can be")
    reader.at = before
    return reader.string()


def _tensors(reader: _Reader, count: int, size: int, alignment: int) -> int:
    """The parameters in all; refuses a file that ends before its last tensor does."""
    if not 0 < alignment <= 1 << 20:
        raise _Refused(f"its alignment is {alignment}")
    parameters, end = 0, 0
    for _ in range(count):
        _key(reader)
        dimensions = reader.scalar("I", 4)
        if not 0 <= dimensions <= 8:
            raise _Refused(f"a tensor has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= reader.scalar("Q", 8)
        kind, offset = reader.scalar("I", 4), reader.scalar("Q", 8)
        parameters += elements
        values, block = _BLOCKS.get(kind, (1, 0))
        end = max(end, offset + -(-elements // values) * block)
    start = -(-reader.at // alignment) * alignment
    if count and start + end > size:
        raise _Refused(f"it is cut off: {start + end} bytes are described, {size} are there")
    return parameters


def _number(values: dict[str, Any], key: str, default: int = 0) -> int:
    """A whole number, or the largest of one number per layer; the default for anything else."""
    found = values.get(key)
    if isinstance(found, list) and found and all(isinstance(one, int) for one in found):
        found = max(found)
    return found if isinstance(found, int) and 0 <= found < 1 << 48 else default


def _text(values: dict[str, Any], key: str) -> str:
    found = values.get(key)
    return found if isinstance(found, str) else ""


def _describe(values: dict[str, Any], parameters: int, size: int) -> Header:
    architecture = _text(values, "general.architecture")
    if not architecture:
        raise _Refused("it names no architecture")

    def number(key: str, default: int = 0) -> int:
        return _number(values, f"{architecture}.{key}", default)

    layers, embedding, heads = number("block_count"), number("embedding_length"), number("attention.head_count")
    width = embedding // heads if heads else 0
    both = number("attention.key_length", width) + number("attention.value_length", width)
    kv_heads = number("attention.head_count_kv", heads)
    quantisation = _QUANTISATIONS.get(_number(values, "general.file_type", -1), "")
    return Header(
        architecture=architecture,
        name=_text(values, "general.name"),
        context_length=number("context_length"),
        parameters=parameters,
        quantisation=quantisation,
        file_size=size,
        chat_template=_text(values, "tokenizer.chat_template"),
        layers=layers,
        embedding=embedding,
        heads=heads,
        kv_bytes_per_token=2 * layers * kv_heads * both,
        pooling=number("pooling_type") if f"{architecture}.pooling_type" in values else None,
    )
