"""Rows of pictures go into a context, in a batch of their own: llama.cpp takes tokens or rows, never both."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native

from models.engine.sight import Span


class Canvas:
    """A batch of rows instead of tokens, for one context."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def decode(self, sequence: int, position: int, rows: Any, span: Span, offset: int) -> int:
        """Compute rows of a span, the first of them its `offset`-th; the span begins at `position`. llama.cpp's status."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        count = len(rows)
        if span.places is None:
            places = np.arange(position + offset, position + offset + count, dtype=np.int32)
        else:
            start, step = (table[:, offset : offset + count] for table in span.places)
            places = np.ascontiguousarray(start + step * position, dtype=np.int32)
        owner = (native.llama_seq_id * 1)(sequence)
        batch = native.llama_batch(
            count,
            None,
            rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            places.ctypes.data_as(ctypes.POINTER(native.llama_pos)),
            (ctypes.c_int32 * count)(*([1] * count)),
            (ctypes.POINTER(native.llama_seq_id) * count)(*([ctypes.cast(owner, ctypes.POINTER(native.llama_seq_id))] * count)),
            (ctypes.c_int8 * count)(),
        )
        if span.causal:
            return int(native.llama_decode(self._context, batch))
        native.llama_set_causal_attn(self._context, False)
        try:
            return int(native.llama_decode(self._context, batch))
        finally:
            native.llama_set_causal_attn(self._context, True)
