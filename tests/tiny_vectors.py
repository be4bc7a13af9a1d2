"""GGUF files of random weights that write nothing: a BERT that embeds and one that reranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, INNER, HEADS, LAYERS, LONGEST = 32, 64, 4, 2, 64
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "dog", "sat", "ran", "mat", "red", "blue", "moon", "sun", "leave", "pay", "days", "is", "?", "."]


def embedder(path: Path, *, pooling: gguf.PoolingType = gguf.PoolingType.MEAN, seed: int = 3) -> Path:
    """Texts become vectors of `WIDTH` dimensions."""
    return _bert(path, pooling, seed, {})


def reranker(path: Path, *, seed: int = 4) -> Path:
    """A question and a document become one score."""
    head = {"cls.weight": (WIDTH, WIDTH), "cls.bias": (WIDTH,), "cls.output.weight": (1, WIDTH), "cls.output.bias": (1,)}
    return _bert(path, gguf.PoolingType.RANK, seed, head)


def weights(path: Path) -> dict[str, Any]:
    """A file's tensors, by name."""
    return {tensor.name: np.array(tensor.data, np.float64) for tensor in gguf.GGUFReader(path).tensors}


def _bert(path: Path, pooling: gguf.PoolingType, seed: int, head: dict[str, tuple[int, ...]]) -> Path:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("Tiny BERT")
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*PIECES, *(f"▁{word}" for word in WORDS), *(f"▁{letter}" for letter in letters), *letters]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(PIECES) + [1] * (len(tokens) - len(PIECES)))
    writer.add_token_type_count(2)
    for name, token in (("unknown", 1), ("bos", 2), ("eos", 3), ("seperator", 3), ("padding", 0), ("mask", 4), ("cls", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)  # the format's own spelling
    shapes = {
        "token_embd.weight": (len(tokens), WIDTH),
        "position_embd.weight": (LONGEST, WIDTH),
        "token_types.weight": (2, WIDTH),
        "token_embd_norm.weight": (WIDTH,),
        "token_embd_norm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, (out, into) in {
            **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }.items():
            shapes |= {f"blk.{layer}.{name}.weight": (out, into), f"blk.{layer}.{name}.bias": (out,)}
        for norm in ("attn_output_norm", "layer_output_norm"):
            shapes |= {f"blk.{layer}.{norm}.weight": (WIDTH,), f"blk.{layer}.{norm}.bias": (WIDTH,)}
    random = np.random.default_rng(seed)
    for name, shape in {**shapes, **head}.items():
        ones = "norm.weight" in name
        writer.add_tensor(name, np.ones(shape, np.float32) if ones else random.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
