"""Small real model files, made in a moment: a GGUF with one tensor, and the small files of a sentence-transformers folder."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path


def gguf_bytes(*, rows: int = 64, seed: int = 0, architecture: str = "llama") -> bytes:
    """A valid GGUF of about rows * 128 bytes."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    values = [
        text("general.architecture") + struct.pack("<I", 8) + text(architecture),
        text("general.name") + struct.pack("<I", 8) + text("Tiny"),
        text(f"{architecture}.context_length") + struct.pack("<II", 4, 2048),
        text(f"{architecture}.block_count") + struct.pack("<II", 4, 1),
        text(f"{architecture}.embedding_length") + struct.pack("<II", 4, 32),
        text(f"{architecture}.attention.head_count") + struct.pack("<II", 4, 4),
    ]
    tensor = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, rows, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values)) + b"".join(values) + tensor
    return head + bytes(-len(head) % 32) + random.Random(seed).randbytes(rows * 128)


def sentence_files(
    *, title: str = "tiny-embedder", kind: str = "sentence_transformers.models.Transformer", seed: int = 0
) -> dict[str, bytes]:
    """What a sentence-transformers folder holds; its weights are noise."""
    return {
        "modules.json": json.dumps([{"path": "", "type": kind}]).encode(),
        "config.json": json.dumps({"hidden_size": 8, "max_position_embeddings": 128}).encode(),
        "README.md": f"---\nlicense: mit\n---\n# {title}\n".encode(),
        "model.safetensors": random.Random(seed).randbytes(100_000),
        "pytorch_model.bin": b"pickled",
        "modeling_own.py": b"raise SystemExit('code of the model ran')",
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def wheel(folder: Path, package: str, files: Mapping[str, bytes], *, version: str = "1.0", licence: str = "Apache-2.0") -> Path:
    """A wheel that pip accepts, with these files in its package."""
    name = package.replace("-", "_")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file if file.startswith(("..", "/")) else f"{name}/{file}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nLicense: {licence}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path
