"""The doorway to llama.cpp: the one file that knows llama-cpp-python, by its low-level API.

`Model` is the weights and the vocabulary, `Decoder` one context with its KV cache and sequences, `Chain` one row's sampler.
Everything here is for one thread. Import it in a worker process only: a native fault ends the process.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp
from llama_cpp import llama_cpp as native

from app.core.errors import BadRequest, BadSetting
from models.interrupt import Interrupt
from models.reasoning import TAGS
from models.sampling import Link

log = logging.getLogger("llama.cpp")
PINNED = "0.3.36"
# ggml's levels; 5 continues the line before, whatever that was.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR, 5: logging.DEBUG}


class Device(NamedTuple):
    """A GPU that this build of llama.cpp can use; memory in bytes."""

    name: str
    free: int
    total: int


class _Log:
    """llama.cpp's messages go to our log; the first error of a call is kept, since its functions return no reason.

    A computation that was ended on purpose (`interrupt`) is no error, though llama.cpp says four lines of it.
    """

    def __init__(self) -> None:
        self.interrupt = Interrupt()
        self._error = ""
        self._callback = native.llama_log_callback(self._write)
        native.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _write(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").rstrip()
        level = 1 if self.interrupt.is_set else level
        if level == 4 and not self._error:
            self._error = line.partition(": ")[2] or line
        if line and line != ".":
            log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)

    def reason(self, otherwise: str) -> str:
        """Of the failure just seen; forgotten with the telling."""
        error, self._error = self._error or otherwise, ""
        return error.removesuffix(".")


def self_test() -> None:
    """BadSetting unless the installed library is the one whose structures this file was written for.

    The low-level API passes C structures by value: a field more or less in another version would be silent nonsense.
    """
    model, context = native.llama_model_default_params(), native.llama_context_default_params()
    found = (
        (model.n_gpu_layers, model.vocab_only, model.use_extra_bufts, model.load_mtp),
        (context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max, context.yarn_ext_factor),
        (context.type_k, context.type_v, context.offload_kqv, context.kv_unified, context.n_samplers),
        native.llama_sampler_chain_default_params().no_perf,
    )
    wanted = ((-1, False, True, False), (512, 2048, 512, 1, -1.0), (1, 1, True, False, 0), True)
    if llama_cpp.__version__ != PINNED or found != wanted:
        raise BadSetting(
            f"Local models need llama-cpp-python {PINNED}, but {llama_cpp.__version__} is installed"
            f"{'' if found == wanted else ', and its native library does not fit it'}.",
            hint=f"Run the bootstrap again, or: pip install --force-reinstall llama-cpp-python=={PINNED}",
        )


def devices() -> list[Device]:
    """The GPUs that this build sees; none for a build without a GPU backend."""
    from llama_cpp._ctypes_extensions import load_shared_library
    from llama_cpp._ggml import libggml, libggml_base_path

    base = load_shared_library("ggml-base", libggml_base_path)
    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    libggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    base.ggml_backend_dev_description.restype = ctypes.c_char_p
    for function in (base.ggml_backend_dev_description, base.ggml_backend_dev_type):
        function.argtypes = [ctypes.c_void_p]
    base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)]
    found = []
    for index in range(libggml.ggml_backend_dev_count()):
        device = libggml.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(device) in (1, 2):  # a GPU, with memory of its own or the host's
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            found.append(Device(base.ggml_backend_dev_description(device).decode("utf-8", "replace"), free.value, total.value))
    return found


class Model:
    """Weights and vocabulary. `progress` is called with 0..1 while they load. BadRequest where llama.cpp refuses the file."""

    def __init__(self, path: Path, *, gpu_layers: int = 0, progress: Callable[[float], None] | None = None) -> None:
        self._log = _Log()
        self_test()
        native.llama_backend_init()
        params = native.llama_model_default_params()
        params.n_gpu_layers = gpu_layers

        def on_progress(value: float, _data: object) -> bool:
            if progress is not None:
                progress(value)
            return True

        params.progress_callback = native.llama_progress_callback(on_progress)
        self._handle: Any = native.llama_model_load_from_file(str(path).encode("utf-8"), params)
        if not self._handle:
            raise BadRequest(
                f"llama.cpp can't load {path.name}: {self._log.reason('no reason given')}.",
                hint="Pull the model again, or choose another file.",
                code="bad_model_file",
            )
        if not native.llama_model_has_decoder(self._handle) or native.llama_model_is_diffusion(self._handle):
            raise BadRequest(f"{path.name} is no model that writes text.", hint="Choose a chat model.", code="bad_model_file")
        self._vocab: Any = native.llama_model_get_vocab(self._handle)
        self.vocabulary_size = int(native.llama_vocab_n_tokens(self._vocab))
        self.parameters = int(native.llama_model_n_params(self._handle))
        bos = int(native.llama_vocab_bos(self._vocab))
        self.bos = bos if native.llama_vocab_get_add_bos(self._vocab) and bos >= 0 else None
        self.bos_text, self.eos_text = self.word(bos), self.word(int(native.llama_vocab_eos(self._vocab)))
        self._pieces: dict[int, bytes] = {}
        self._buffer = ctypes.create_string_buffer(4096)
        every = range(self.vocabulary_size)
        self.end_tokens = frozenset(token for token in every if native.llama_vocab_is_eog(self._vocab, token))
        control = {token: word for token in every if native.llama_vocab_is_control(self._vocab, token) and (word := self.word(token))}
        self.control_words = tuple(control.values())
        # Some conversions make control tokens of the tags around a model's reasoning: as text they can be told apart from its answer.
        self._spoken = frozenset(token for token, word in control.items() if word in TAGS)

    def word(self, token: int) -> str:
        """A token's name in the vocabulary ("<|im_end|>"); empty for none."""
        text = native.llama_vocab_get_text(self._vocab, token) if 0 <= token < native.llama_vocab_n_tokens(self._vocab) else None
        return text.decode("utf-8", "replace") if text else ""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text, without a first or last token of the model's own. `special`: control words become control tokens."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (native.llama_token * room)()
            count = native.llama_tokenize(self._vocab, data, len(data), tokens, room, False, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text; control tokens add none, but for tags of reasoning."""
        known = self._pieces.get(token)
        if known is None:
            size = native.llama_token_to_piece(self._vocab, token, self._buffer, len(self._buffer), 0, token in self._spoken)
            known = self._pieces[token] = self._buffer.raw[: max(0, size)]
        return known

    def chain(self, links: Sequence[Link], *, never: Sequence[int] = ()) -> Chain:
        """A sampler; the tokens in `never` are never chosen."""
        return Chain(self.vocabulary_size, links, never)

    def decoder(self, *, cells: int, sequences: int, batch: int, threads: int, unified: bool = True) -> Decoder:
        """A context of `cells` tokens that `sequences` rows share. BadSetting where there is no memory for it."""
        params = native.llama_context_default_params()
        params.n_ctx, params.n_seq_max = cells, sequences
        params.n_batch = params.n_ubatch = batch
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = unified
        handle = native.llama_init_from_model(self._handle, params)
        if not handle:
            raise BadSetting(
                f"A context of {cells} tokens can't be made for this model: {self._log.reason('out of memory')}.",
                hint="Set a smaller `context`, or fewer `gpu_layers`.",
            )
        if not native.llama_get_memory(handle):
            native.llama_free(handle)
            raise BadRequest("This is a model for embeddings: it writes no text.", hint="Choose a chat model.", code="bad_model_file")
        recurrent = native.llama_model_is_recurrent(self._handle) or native.llama_model_is_hybrid(self._handle)
        return Decoder(handle, sequences, batch, interrupt=self._log.interrupt, truncates=not recurrent)

    def close(self) -> None:
        """Free the weights; the decoders must be closed before."""
        native.llama_model_free(self._handle)


class Chain:
    """One row's sampler with its memory of what it chose."""

    def __init__(self, vocabulary_size: int, links: Sequence[Link], never: Sequence[int]) -> None:
        self.handle: Any = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        if never:
            bias = (native.llama_logit_bias * len(never))(*(native.llama_logit_bias(token, float("-inf")) for token in never))
            self._add(native.llama_sampler_init_logit_bias(vocabulary_size, len(never), bias))
        for link in links:
            self._add(_LINKS[link.name](vocabulary_size, *link.arguments))

    def _add(self, sampler: Any) -> None:
        native.llama_sampler_chain_add(self.handle, sampler)

    def close(self) -> None:
        """Free it."""
        native.llama_sampler_free(self.handle)


_LINKS: dict[str, Callable[..., Any]] = {
    "penalties": lambda size, last, repeat, frequency, presence: native.llama_sampler_init_penalties(
        size, last, repeat, frequency, presence
    ),
    "top_k": lambda _, k: native.llama_sampler_init_top_k(k),
    "top_p": lambda _, p, keep: native.llama_sampler_init_top_p(p, keep),
    "min_p": lambda _, p, keep: native.llama_sampler_init_min_p(p, keep),
    "temp": lambda _, value: native.llama_sampler_init_temp(value),
    "dist": lambda _, seed: native.llama_sampler_init_dist(seed),
    "greedy": lambda _: native.llama_sampler_init_greedy(),
}


class Decoder:
    """A context: `decode` one batch, then `sample` the rows that asked for logits; `forget` a sequence to free its cells.

    `truncates`: whether a sequence can lose its end alone, which models with a recurrent state can't. `interrupt` ends a
    batch on the processor within milliseconds; a GPU doesn't look at it.
    """

    def __init__(self, handle: Any, sequences: int, batch: int, *, interrupt: Interrupt, truncates: bool) -> None:
        self._handle = handle
        self._memory: Any = native.llama_get_memory(handle)
        self.sequences, self.batch, self.interrupt, self.truncates = sequences, batch, interrupt, truncates
        self._batch = native.llama_batch_init(batch, 0, 1)
        native.llama_set_abort_callback(handle, ctypes.cast(interrupt.function, native.ggml_abort_callback), interrupt.data)

    @property
    def cells(self) -> int:
        """The tokens that the cache holds in all."""
        return int(native.llama_n_ctx(self._handle))

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]]) -> tuple[int, list[int]]:
        """Compute `(sequence, position, tokens)` parts in one batch; each part's last token gets logits.

        Returns llama.cpp's status and each part's index for `sample`. 0: done; 1: no room in the cache, nothing has changed;
        2: interrupted, and the sequences may hold some of it; below 0: an error.
        """
        batch, at, ends = self._batch, 0, []
        for sequence, position, tokens in parts:
            for offset, token in enumerate(tokens):
                batch.token[at] = token
                batch.pos[at] = position + offset
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = sequence
                batch.logits[at] = 0
                at += 1
            batch.logits[at - 1] = 1
            ends.append(at - 1)
        batch.n_tokens = at
        return int(native.llama_decode(self._handle, batch)), ends

    def sample(self, chain: Chain, index: int) -> int:
        """The next token of the part whose index `decode` gave."""
        return int(native.llama_sampler_sample(chain.handle, self._handle, index))

    def forget(self, sequence: int) -> None:
        """Free all cells of a sequence."""
        native.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def truncate(self, sequence: int, length: int) -> bool:
        """Keep a sequence's first `length` tokens; False where the model can't, and the sequence is of no use any more."""
        return bool(native.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def close(self) -> None:
        """Free the cache."""
        native.llama_batch_free(self._batch)
        native.llama_free(self._handle)
