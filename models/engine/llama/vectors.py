"""A model that gives vectors or scores instead of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native

from app.core.errors import BadSetting, OndolError
from models.engine.llama import vocabulary
from models.engine.llama.binding import Log
from models.engine.llama.weights import load
from models.engine.vectors import MEAN, MOST_TEXTS, NO_POOLING, RANK, Marks

Rows = np.ndarray[Any, np.dtype[np.float32]]


class VectorModel:
    """Weights and a context for whole texts of up to `context` tokens. Pooling is the file's own; the mean where it says none."""

    def __init__(self, path: Path, *, context: int, threads: int, gpu_layers: int = 0) -> None:
        self._log = Log()
        self._model: Any = load(path, self._log, gpu_layers=gpu_layers, progress=None)
        self._vocab: Any = native.llama_model_get_vocab(self._model)
        self.context = context
        self._context = self._open(threads, None)
        if native.llama_pooling_type(self._context) == NO_POOLING:
            native.llama_free(self._context)
            self._context = self._open(threads, MEAN)
        self.ranks = native.llama_pooling_type(self._context) == RANK
        self._memory: Any = native.llama_get_memory(self._context)
        outputs = native.llama_model_n_cls_out if self.ranks else native.llama_model_n_embd_out
        self.dimensions = int(outputs(self._model))
        self._batch = native.llama_batch_init(context, 0, 1)

    def _open(self, threads: int, pooling: int | None) -> Any:
        params = native.llama_context_default_params()
        # A text that sees all of itself must lie in one batch.
        params.n_ctx = params.n_batch = params.n_ubatch = self.context
        params.n_seq_max, params.kv_unified, params.embeddings = MOST_TEXTS, True, True
        params.n_threads = params.n_threads_batch = threads
        if pooling is not None:
            params.pooling_type = pooling
        handle = native.llama_init_from_model(self._model, params)
        if not handle:
            raise BadSetting(
                f"Texts of {self.context} tokens can't be read with this model: {self._log.reason('out of memory')}.",
                hint="Set a smaller `models.context`.",
            )
        return handle

    @property
    def marks(self) -> Marks:
        """What this model puts around a question and a document."""
        template = native.llama_model_chat_template(self._model, b"rerank")

        first, end, sep = (int(which(self._vocab)) for which in (native.llama_vocab_bos, native.llama_vocab_eos, native.llama_vocab_sep))
        begins, ends, parts = (
            bool(added(self._vocab))
            for added in (native.llama_vocab_get_add_bos, native.llama_vocab_get_add_eos, native.llama_vocab_get_add_sep)
        )
        if not ends:
            # BERT ends both with the same token; RoBERTa and its kin have an end, and a separator beside it.
            end, ends, parts = sep, parts, False
        return Marks(
            first=first if begins and first >= 0 else None,
            end=next((token for token in (end, sep) if token >= 0), None) if ends else None,
            between=sep if parts and sep >= 0 else None,
            template=template.decode("utf-8", "replace") if template else "",
        )

    def tokenize(self, text: str, *, whole: bool, special: bool = False) -> list[int]:
        """A text's tokens. `whole`: with those that the model wants around a text; `special`: control words become control tokens."""
        return vocabulary.tokenize(self._vocab, text, whole=whole, special=special)

    def compute(self, texts: Sequence[Sequence[int]]) -> Rows:
        """One row for each of these texts, at most `MOST_TEXTS` of together at most `context` tokens."""
        batch, at = self._batch, 0
        for sequence, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = 1, sequence, 1
                at += 1
        batch.n_tokens = at
        if self._memory:
            native.llama_memory_clear(self._memory, True)
        status = native.llama_decode(self._context, batch) if self._memory else native.llama_encode(self._context, batch)
        if status:
            raise OndolError(f"llama.cpp could not compute these texts (status {status}).", hint="Try again, with fewer or shorter ones.")
        rows = [native.llama_get_embeddings_seq(self._context, sequence) for sequence in range(len(texts))]
        return np.stack([np.ctypeslib.as_array(row, (self.dimensions,)) for row in rows]).astype(np.float32)

    def close(self) -> None:
        """Free all of it."""
        native.llama_batch_free(self._batch)
        native.llama_free(self._context)
        native.llama_model_free(self._model)
