"""One context with its KV cache and sequences."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native

from models.engine.adapters import Scales
from models.engine.crew import Crew
from models.engine.interrupt import Interrupt
from models.engine.llama.adapters import Adapters
from models.engine.llama.canvas import Canvas
from models.engine.llama.chain import Chain
from models.engine.llama.parted_state import joined, parted
from models.engine.llama.places import Places
from models.engine.sight import Span


class Decoder:
    """A context: `decode` one batch, then `sample` the rows that asked for logits; `forget` a sequence to free its cells.

    `truncates`: whether a sequence can lose its end alone, which models with a recurrent state can't. `window`: how many tokens
    back a window of attention looks; 0: all. `interrupt` ends a batch on the processor within milliseconds; a GPU doesn't look
    at it. `streams`: parts of its cache; 1: all sequences share it. `crew` says how many threads are worth while on a busy
    machine; None: always all.
    """

    def __init__(
        self,
        handle: Any,
        sequences: int,
        batch: int,
        *,
        interrupt: Interrupt,
        truncates: bool,
        streams: int = 1,
        adapters: Adapters | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._handle, self._adapters, self._scales = handle, adapters, Scales()
        self._threads = self._used = int(native.llama_n_threads(handle))
        self._crew, self._spared = crew, 0
        self._words = int(native.llama_vocab_n_tokens(native.llama_model_get_vocab(native.llama_get_model(handle))))
        self.window = max(0, int(native.llama_model_n_swa(native.llama_get_model(handle))))
        self._memory: Any = native.llama_get_memory(handle)
        self.sequences, self.batch, self.interrupt, self.truncates = sequences, batch, interrupt, truncates
        self._streams = streams
        self._batch = native.llama_batch_init(batch, 0, 1)
        self._places, self._canvas = Places(), Canvas(handle)
        native.llama_set_abort_callback(handle, ctypes.cast(interrupt.function, native.ggml_abort_callback), interrupt.data)

    @property
    def cells(self) -> int:
        """The tokens that the cache holds in all."""
        return int(native.llama_n_ctx(self._handle))

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]], looks: Sequence[int] = ()) -> tuple[int, list[int]]:
        """Compute `(sequence, position, tokens)` parts in one batch; each part's last token gets logits, or its last `looks`.

        Returns llama.cpp's status and each part's index for `sample`. 0: done; 1: no room in the cache, nothing has changed;
        2: interrupted, and the sequences may hold some of it; below 0: an error.
        """
        batch, at, ends = self._batch, 0, []
        for number, (sequence, index, tokens) in enumerate(parts):
            position = self._places.position(sequence, index)
            for offset, token in enumerate(tokens):
                batch.token[at] = token
                batch.pos[at] = position + offset
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = sequence
                batch.logits[at] = 0
                at += 1
            for last in range(at - (looks[number] if looks else 1), at):
                batch.logits[last] = 1
            ends.append(at - 1)
        batch.n_tokens = at
        self._muster()
        wall, processor = time.perf_counter(), time.process_time()
        status = int(native.llama_decode(self._handle, batch))
        # What others in this process compute meanwhile would look like our own work.
        if self._crew is not None and not self._spared:
            self._crew.worked(time.perf_counter() - wall, time.process_time() - processor)
        return status, ends

    def see(self, sequence: int, span: Span, offset: int, rows: Any) -> int:
        """Compute rows of a span of a picture, the first of them its `offset`-th, alone in a batch; returns a status as `decode` does."""
        self._muster()
        status = self._canvas.decode(sequence, self._places.position(sequence, span.start), rows, span, offset)
        if not status and offset + len(rows) == span.length:
            self._places.passed(sequence, span.end, span.length - span.positions)
        return status

    def spare(self, threads: int) -> None:
        """Leave so many threads to others from the next batch on; 0: none."""
        self._spared = threads

    def _muster(self) -> None:
        wanted = max(1, (self._crew.threads if self._crew is not None else self._threads) - self._spared)
        if wanted != self._used:
            native.llama_set_n_threads(self._handle, wanted, wanted)
            self._used = wanted

    def sample(self, chain: Chain, index: int) -> int:
        """The next token of the part whose index `decode` gave."""
        return chain.sample(self._handle, index)

    def scores(self, index: int) -> Any:
        """The model's own scores of all tokens after that part, as an array that is good until the next batch."""
        return np.ctypeslib.as_array(native.llama_get_logits_ith(self._handle, index), (self._words,))

    def adapt(self, scales: Scales) -> None:
        """The strength of each adapter from the next batch on."""
        if self._adapters is not None and scales != self._scales:
            self._adapters.apply(self._handle, scales)
            self._scales = scales

    def forget(self, sequence: int) -> None:
        """Free all cells of a sequence."""
        native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._places.forget(sequence)

    def truncate(self, sequence: int, length: int) -> bool:
        """Keep a sequence's first `length` tokens; False where the model can't, and the sequence is of no use any more."""
        self._places.cut(sequence, length)
        return bool(native.llama_memory_seq_rm(self._memory, sequence, self._places.position(sequence, length), -1))

    def copy(self, sequence: int, other: int, length: int) -> bool:
        """Give the empty sequence `other` the first `length` tokens too; they share the cells. All of it where the model can't truncate."""
        end = self._places.position(sequence, length) if self.truncates else -1
        native.llama_memory_seq_cp(self._memory, sequence, other, 0, end)
        self._places.copy(sequence, other, length)
        return True

    def first(self, sequence: int) -> int:
        """The position of the first token that is still there in every layer; -1 for none."""
        return int(native.llama_memory_seq_pos_min(self._memory, sequence))

    def save(self, sequence: int) -> bytes:
        """A sequence's state, to be restored in any context of the same model and settings, parted or not; empty where that failed."""
        size = int(native.llama_state_seq_get_size_ext(self._handle, sequence, 0))
        data = (ctypes.c_uint8 * size)()
        written = int(native.llama_state_seq_get_data_ext(self._handle, data, size, sequence, 0))
        state = bytes(memoryview(data)[:written])
        return self._places.pack(sequence, joined(state) if self._streams > 1 else state)

    def restore(self, sequence: int, state: bytes) -> bool:
        """Fill an empty sequence from a state; False, and it is empty, where it doesn't fit."""
        state = self._places.unpack(sequence, state)
        state = parted(state, self._streams) if self._streams > 1 else state
        data = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if native.llama_state_seq_set_data_ext(self._handle, data, len(state), sequence, 0):
            return True
        self.forget(sequence)
        return False

    def close(self) -> None:
        """Free the cache."""
        native.llama_batch_free(self._batch)
        native.llama_free(self._handle)
