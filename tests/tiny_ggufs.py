"""GGUF files of random weights, made in a moment: one for each way in which a model remembers what it has read.

    llama       attention over everything: a sequence may lose its end
    experts     the same with a mixture of experts
    gemma3      attention over a window of `WINDOW` tokens in all layers but one: what lies before the window is gone
    mamba       a recurrent state: it can't go back
    lfm2        hybrid: one layer of attention, two with a state
    qwen2vl     attention over places in two dimensions (not in `ALL`: without a picture it is as `llama`)

They know 256 bytes and `WORDS` words, and write noise; what they write to the same tokens is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import numpy as np

WIDTH, INNER, HEADS, HEAD, VOCABULARY = 64, 128, 4, 16, 320
WINDOW = 32
FIRST_WORD, WORDS = 260, 60
Shapes = dict[str, tuple[int, ...]]


def llama(path: Path, *, seed: int = 7) -> Path:
    """Plain attention, two layers."""
    return _write(path, "llama", 2, _attention, {}, seed)


def experts(path: Path, *, seed: int = 7) -> Path:
    """Four experts in each of two layers, of which two are asked."""

    def layer(index: int) -> Shapes:
        name = f"blk.{index}."
        shapes = {key: value for key, value in _attention(index).items() if "ffn_" not in key or "norm" in key}
        return shapes | {
            f"{name}ffn_gate_inp.weight": (4, WIDTH),
            f"{name}ffn_gate_exps.weight": (4, INNER, WIDTH),
            f"{name}ffn_up_exps.weight": (4, INNER, WIDTH),
            f"{name}ffn_down_exps.weight": (4, WIDTH, INNER),
        }

    return _write(path, "llama", 2, layer, {"expert_count": 4, "expert_used_count": 2}, seed)


def gemma3(path: Path, *, seed: int = 7) -> Path:
    """Six layers; the first five see the last `WINDOW` tokens alone."""

    def layer(index: int) -> Shapes:
        name = f"blk.{index}."
        norms = {f"{name}{norm}.weight": (WIDTH,) for norm in ("post_attention_norm", "post_ffw_norm")}
        return _attention(index) | norms | {f"{name}attn_{one}_norm.weight": (HEAD,) for one in "qk"}

    return _write(path, "gemma3", 6, layer, {"sliding_window": WINDOW}, seed)


def mamba(path: Path, *, seed: int = 7) -> Path:
    """One layer with a recurrent state."""
    state, rank, kernel = 16, 4, 4

    def layer(index: int) -> Shapes:
        name = f"blk.{index}."
        return {
            f"{name}ssm_in.weight": (2 * INNER, WIDTH),
            f"{name}ssm_conv1d.weight": (INNER, kernel),
            f"{name}ssm_x.weight": (rank + 2 * state, INNER),
            f"{name}ssm_dt.weight": (INNER, rank),
            f"{name}ssm_out.weight": (WIDTH, INNER),
            f"{name}ssm_conv1d.bias": (INNER,),
            f"{name}ssm_dt.bias": (INNER,),
            f"{name}ssm_d": (INNER,),
            f"{name}ssm_a": (INNER, state),
            f"{name}attn_norm.weight": (WIDTH,),
        }

    numbers = {"ssm.conv_kernel": kernel, "ssm.inner_size": INNER, "ssm.state_size": state, "ssm.time_step_rank": rank}
    return _write(path, "mamba", 1, layer, {**numbers, "feed_forward_length": 0, "attention.head_count": 0}, seed)


def lfm2(path: Path, *, seed: int = 7) -> Path:
    """Three layers; the second has attention, the others a short convolution with a state."""

    def layer(index: int) -> Shapes:
        name = f"blk.{index}."
        if index == 1:
            return _attention(index) | {f"{name}attn_{one}_norm.weight": (HEAD,) for one in "qk"}
        mixing = {
            f"{name}shortconv.conv.weight": (WIDTH, 3),
            f"{name}shortconv.in_proj.weight": (3 * WIDTH, WIDTH),
            f"{name}shortconv.out_proj.weight": (WIDTH, WIDTH),
        }
        return {key: value for key, value in _attention(index).items() if "attn_" not in key or "norm" in key} | mixing

    return _write(path, "lfm2", 3, layer, {"shortconv.l_cache": 3, "attention.head_count_kv": [0, HEADS, 0]}, seed)


def qwen2vl(path: Path, *, seed: int = 7) -> Path:
    """Two layers that count the places of a picture in two dimensions (M-RoPE)."""

    def layer(index: int) -> Shapes:
        return _attention(index) | {f"blk.{index}.attn_{one}.bias": (HEADS * HEAD,) for one in "qkv"}

    return _write(path, "qwen2vl", 2, layer, {"rope.dimension_sections": [2, 3, 3, 0]}, seed)


ALL: Mapping[str, Callable[[Path], Path]] = {"llama": llama, "experts": experts, "gemma3": gemma3, "mamba": mamba, "lfm2": lfm2}


def _attention(index: int) -> Shapes:
    name = f"blk.{index}."
    shapes: Shapes = {f"{name}{norm}.weight": (WIDTH,) for norm in ("attn_norm", "ffn_norm")}
    shapes |= {f"{name}attn_{one}.weight": (HEADS * HEAD, WIDTH) for one in "qkv"}
    shapes |= {f"{name}attn_output.weight": (WIDTH, HEADS * HEAD), f"{name}ffn_down.weight": (WIDTH, INNER)}
    return shapes | {f"{name}ffn_{one}.weight": (INNER, WIDTH) for one in ("gate", "up")}


def _write(
    path: Path, architecture: str, layers: int, layer: Callable[[int], Shapes], numbers: Mapping[str, int | list[int]], seed: int
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_layer_norm_rms_eps(1e-5)
    usual = {
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "rope.dimension_count": HEAD,
    }
    for key, value in {**usual, **numbers}.items():
        if isinstance(value, list):
            writer.add_array(f"{architecture}.{key}", value)
        else:
            writer.add_uint32(f"{architecture}.{key}", value)
    words = ["<unk>", "<s>", "</s>", "<think>", *(f"<0x{byte:02X}>" for byte in range(256)), *(f"w{n}" for n in range(WORDS))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types([2, 3, 3, 3, *[6] * 256, *[1] * WORDS])
    shapes: Shapes = {"token_embd.weight": (len(words), WIDTH), "output.weight": (len(words), WIDTH)}
    final = "token_embd_norm" if architecture == "lfm2" else "output_norm"
    shapes[f"{final}.weight"] = (WIDTH,)
    for index in range(layers):
        shapes |= layer(index)
    random = np.random.default_rng(seed)
    for name, shape in shapes.items():
        writer.add_tensor(name, _values(name, shape, random))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _values(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if "norm" in name:
        return np.ones(shape, np.float32)
    if name.endswith("ssm_a"):
        return -np.tile(np.arange(1, shape[1] + 1, dtype=np.float32), (shape[0], 1))
    return random.normal(0, 0.3, shape).astype(np.float32)
