"""A model of half a megabyte that says nothing: it shows whether llama.cpp computes on this machine, which loading it does not.

The GGUF format: a header, keys with typed values, the tensors' shapes, and their data, each at a multiple of 32 bytes.
"""

from __future__ import annotations

import math
import struct

ALIGNMENT = 32
WIDTH, HEADS, TOKENS = 256, 4, 64
KEYS: dict[str, str | int | float] = {
    "general.architecture": "llama",
    "llama.context_length": 256,
    "llama.embedding_length": WIDTH,
    "llama.block_count": 1,
    "llama.feed_forward_length": WIDTH,
    "llama.attention.head_count": HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": TOKENS,
    "tokenizer.ggml.model": "no_vocab",
}
NORMS = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
PRODUCTS = tuple(f"blk.0.{name}" for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"))
F32, Q8_0, Q8_0_BLOCK, Q8_0_BYTES = 0, 8, 32, 34
STRING, UINT32, FLOAT32 = 8, 4, 6


def tiny_model() -> bytes:
    """One layer whose weights are all zero, in Q8_0: the products go the way of any model's, with tiles where the processor has them."""
    shapes = dict.fromkeys(NORMS, ((WIDTH,), F32)) | dict.fromkeys(PRODUCTS, ((WIDTH, WIDTH), Q8_0))
    shapes |= dict.fromkeys(("token_embd", "output"), ((WIDTH, TOKENS), Q8_0))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(KEYS)) + b"".join(_key(name, value) for name, value in KEYS.items())
    size = 0
    for name, (shape, kind) in shapes.items():
        head += _string(f"{name}.weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, size)
        size += _padded(_bytes(shape, kind))
    return head.ljust(_padded(len(head)), b"\0") + bytes(size)


def _bytes(shape: tuple[int, ...], kind: int) -> int:
    count = math.prod(shape)
    return count * 4 if kind == F32 else count // Q8_0_BLOCK * Q8_0_BYTES


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _key(name: str, value: str | int | float) -> bytes:
    if isinstance(value, str):
        return _string(name) + struct.pack("<I", STRING) + _string(value)
    return _string(name) + struct.pack("<II" if isinstance(value, int) else "<If", UINT32 if isinstance(value, int) else FLOAT32, value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
