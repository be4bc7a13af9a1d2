"""libmtmd's doorway: a projector (mmproj GGUF) makes rows of pictures, which a model reads in the place of tokens."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native
from llama_cpp import mtmd_cpp as mtmd

from app.core.errors import BadSetting, OndolError
from models.engine.images import Picture
from models.engine.llama.binding import PINNED, Log
from models.engine.pixels import Pixels
from models.engine.sight import Span

# Sizes by which the largest part of a picture is found: models that scale give tall and wide ones other shapes.
_SIZES = ((4096, 4096), (4096, 512), (512, 4096), (64, 64))
_CALLBACKS: list[Any] = []  # libmtmd calls the last one as long as the process lives


def self_test() -> None:
    """BadSetting unless the structures of libmtmd are those that this room was written for."""
    params = mtmd.mtmd_context_params_default()
    found = (params.use_gpu, params.print_timings, params.n_threads, params.media_marker, params.flash_attn_type, params.warmup)
    beyond = (params.image_min_tokens, params.image_max_tokens, params.batch_max_tokens)
    if (found, beyond) != ((True, True, 4, mtmd.mtmd_default_marker(), -1, True), (-1, -1, 1024)):
        raise BadSetting(
            f"Pictures need llama-cpp-python {PINNED}, whose libmtmd does not fit what is installed.",
            hint=f"Run the bootstrap again, or: pip install --force-reinstall llama-cpp-python=={PINNED}",
        )


class Projector:
    """The eyes of a model, whose native handle is `model`. BadSetting where the file isn't made for it, or can't see.

    `layout` is for any thread; `see` for one. `largest`: tokens of the largest part that has to be computed whole, 0: none has.
    """

    def __init__(self, path: Path, model: Any, log: Log, *, threads: int, gpu: bool = False) -> None:
        self_test()
        self.threads = threads
        callback = native.llama_log_callback(log.write)
        _CALLBACKS.append(callback)
        mtmd.mtmd_helper_log_set(callback, ctypes.c_void_p(0))
        params = mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.print_timings, params.warmup = gpu, threads, False, False
        self._width = int(native.llama_model_n_embd_inp(model))
        self._handle: Any = mtmd.mtmd_init_from_file(str(path).encode("utf-8"), model, params)
        if not self._handle:
            raise BadSetting(f"{path.name} is no projector for this model: {log.reason('no reason given')}.", hint="Take the model's own.")
        if not mtmd.mtmd_support_vision(self._handle):
            self.close()
            raise BadSetting(f"{path.name} makes nothing of pictures.", hint="Take a projector for vision.")
        self._turns = bool(mtmd.mtmd_decode_use_mrope(self._handle))
        parts = [part for size in _SIZES for part in self.layout(*size)]
        self.largest = max((part.length for part in parts if isinstance(part, Span) and not part.causal), default=0)

    def layout(self, width: int, height: int) -> list[list[int] | Span]:
        """Words and spans of a picture of that size. OndolError where it can't be."""
        with self._chunks(width, height, None) as chunks:
            return [self._span(chunk) if _is_image(chunk) else _words(chunk) for chunk in chunks]

    def see(self, picture: Pixels) -> Iterator[Any]:
        """The rows of each span, as a float32 array of its own."""
        data = (ctypes.c_uint8 * len(picture.data)).from_buffer_copy(picture.data)
        with self._chunks(picture.width, picture.height, data) as chunks:
            for chunk in filter(_is_image, chunks):
                if mtmd.mtmd_encode_chunk(self._handle, chunk):
                    raise OndolError("The projector could not compute a picture.", hint="Try again; a smaller one takes less memory.")
                count = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
                rows = np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(self._handle), (count, self._width))
                yield rows.astype(np.float32)  # a copy: the next chunk is written over it

    def close(self) -> None:
        """Free it; the model after it."""
        mtmd.mtmd_free(self._handle)

    @contextlib.contextmanager
    def _chunks(self, width: int, height: int, data: Any) -> Iterator[list[Any]]:
        """A picture's chunks; without `data` they hold its layout alone."""
        marker = mtmd.mtmd_default_marker()
        text = mtmd.mtmd_input_text(marker, len(marker), False, True)
        bitmap = mtmd.mtmd_bitmap_init(width, height, data)
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            status = mtmd.mtmd_tokenize(self._handle, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1)
            if status:
                raise OndolError(f"The projector takes no picture of {width} x {height} pixels.", hint="Send it in another size.")
            yield [mtmd.mtmd_input_chunks_get(chunks, index) for index in range(mtmd.mtmd_input_chunks_size(chunks))]
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    def _span(self, chunk: Any) -> Span:
        count = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        positions = int(mtmd.mtmd_input_chunk_get_n_pos(chunk))
        causal = not mtmd.mtmd_decode_use_non_causal(self._handle, chunk)
        places = None
        if self._turns:
            first, second = _places(chunk, 0, count), _places(chunk, 1, count)
            places = first, second - first
        return Span(0, count, positions, causal, Picture(b"", b""), 0, places)


def _is_image(chunk: Any) -> bool:
    return bool(mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE)


def _words(chunk: Any) -> list[int]:
    count = ctypes.c_size_t()
    tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
    # A mark that this vocabulary lacks is -1.
    return [tokens[index] for index in range(count.value) if tokens[index] >= 0] if tokens else []


def _places(chunk: Any, before: int, count: int) -> Any:
    """Where the model counts a picture's tokens, which come after `before` positions: 4 x count, in llama.cpp's order (time, y, x, z)."""
    places = (mtmd.mtmd_decoder_pos * count)()
    mtmd.mtmd_helper_image_get_decoder_pos(mtmd.mtmd_input_chunk_get_tokens_image(chunk), before, places)
    table = np.frombuffer(bytes(places), dtype=np.uint32).reshape(count, 4).astype(np.int32)  # t, x, y, z
    return table[:, [0, 2, 1, 3]].T.copy()
