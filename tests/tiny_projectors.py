"""Projectors (mmproj) of random weights over the text models of `tiny_ggufs`: one for each way in which a picture comes into a text.

    gemma3      one square of `SQUARE` tokens, which see each other (no causal mask); a begin and an end around it
    idefics3    the whole picture and its tiles, words of the model between them
    qwen2vl     as many tokens as the picture has places, with positions in two dimensions (M-RoPE)

What they see is noise of the picture's own: the same for the same picture, another for another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from tiny_ggufs import WIDTH

SIDE, PATCH, EYE, HEADS, INNER = 64, 4, 32, 2, 64
SQUARE = 16
Shapes = dict[str, tuple[int, ...]]


def gemma3(path: Path, *, seed: int = 11, width: int = WIDTH) -> Path:
    shapes = {"mm.input_projection.weight": (EYE, width), "mm.soft_emb_norm.weight": (EYE,)}
    return _write(path, "gemma3", _tower() | shapes, {}, seed)


def idefics3(path: Path, *, seed: int = 11) -> Path:
    shapes = {"mm.model.fc.weight": (WIDTH, EYE * 16)}
    return _write(path, "idefics3", _tower() | shapes, {"projector.scale_factor": 4, "preproc_image_size": 2 * SIDE}, seed)


def qwen2vl(path: Path, *, seed: int = 11) -> Path:
    shapes: Shapes = {"v.patch_embd.weight.1": (EYE, 3, PATCH, PATCH)}
    shapes |= {"mm.0.weight": (4 * EYE, 4 * EYE), "mm.0.bias": (4 * EYE,), "mm.2.weight": (WIDTH, 4 * EYE), "mm.2.bias": (WIDTH,)}
    tower = {name: shape for name, shape in _tower().items() if "position" not in name and name != "v.patch_embd.bias"}
    return _write(path, "qwen2vl_merger", tower | shapes, {}, seed)


def _tower() -> Shapes:
    """One layer of attention over patches."""
    shapes: Shapes = {
        "v.patch_embd.weight": (EYE, 3, PATCH, PATCH),
        "v.patch_embd.bias": (EYE,),
        "v.position_embd.weight": ((SIDE // PATCH) ** 2, EYE),
        "v.post_ln.weight": (EYE,),
        "v.post_ln.bias": (EYE,),
    }
    for name, (rows, columns) in {"ffn_up": (INNER, EYE), "ffn_down": (EYE, INNER)}.items():
        shapes |= {f"v.blk.0.{name}.weight": (rows, columns), f"v.blk.0.{name}.bias": (rows,)}
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        shapes |= {f"v.blk.0.{name}.weight": (EYE, EYE), f"v.blk.0.{name}.bias": (EYE,)}
    for name in ("ln1", "ln2"):
        shapes |= {f"v.blk.0.{name}.weight": (EYE,), f"v.blk.0.{name}.bias": (EYE,)}
    return shapes


def _write(path: Path, projector: str, shapes: Shapes, numbers: Mapping[str, int], seed: int) -> Path:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", projector)
    writer.add_bool("clip.use_gelu", True)
    usual = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": EYE,
        "feed_forward_length": INNER,
        "block_count": 1,
        "projection_dim": WIDTH,
        "attention.head_count": HEADS,
    }
    for key, value in {**usual, **numbers}.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5, 0.5, 0.5])
    random = np.random.default_rng(seed)
    for name, shape in shapes.items():
        flat = "ln" in name.split(".")[-2] or "norm" in name
        values = np.ones(shape) if flat and name.endswith("weight") else random.normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
