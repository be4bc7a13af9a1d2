"""More GGUF files of random weights, beside `tiny_ggufs`: a LoRA adapter, and a model that was taught to fill in."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import tiny_ggufs
from tiny_ggufs import HEAD, HEADS, WIDTH


def lora(path: Path, *, architecture: str = "llama", layers: int = 2, rank: int = 4, width: int = WIDTH, seed: int = 1) -> Path:
    """An adapter over the query and value matrices of `tiny_ggufs.llama`."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random = np.random.default_rng(seed)
    for layer in range(layers):
        for one in "qv":
            name = f"blk.{layer}.attn_{one}.weight"
            writer.add_tensor(f"{name}.lora_a", random.normal(0, 0.5, (rank, width)).astype(np.float32))
            writer.add_tensor(f"{name}.lora_b", random.normal(0, 0.5, (HEADS * HEAD, rank)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merged(base: Path, adapter: Path, path: Path, scale: float = 1.0) -> Path:
    """The base with the adapter added to its weights: what llama.cpp computes with both must be what it computes with this."""
    added = {tensor.name: tensor.data for tensor in gguf.GGUFReader(adapter).tensors}
    rank = next(data.shape[0] for name, data in added.items() if name.endswith("lora_a"))

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if f"{name}.lora_a" not in added:
            return values
        product = added[f"{name}.lora_b"].astype(np.float64) @ added[f"{name}.lora_a"].astype(np.float64)
        return (values + scale * 8.0 / rank * product).astype(np.float32)

    return _copied(base, path, change)


def infilling(path: Path) -> Path:
    """A plain model whose vocabulary has tokens for the text before, after and at a gap: w0, w1 and w2."""
    base = tiny_ggufs.llama(path.with_suffix(".base"))
    words = dict(zip(("fim_pre", "fim_suf", "fim_mid"), range(tiny_ggufs.FIRST_WORD, tiny_ggufs.FIRST_WORD + 3), strict=True))
    return _copied(base, path, lambda _, values: values, {f"tokenizer.ggml.{name}_token_id": token for name, token in words.items()})


def _copied(base: Path, path: Path, change, numbers: dict[str, int] | None = None) -> Path:  # type: ignore[no-untyped-def]
    reader = gguf.GGUFReader(base)
    writer = gguf.GGUFWriter(path, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=field.types[-1] if len(field.types) > 1 else None)
    for name, number in (numbers or {}).items():
        writer.add_uint32(name, number)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, change(tensor.name, tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
