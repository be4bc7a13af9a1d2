"""llama-cpp-python as it is installed: whether it is the one that this code is for, the GPUs it sees, and where its messages go."""

from __future__ import annotations

import ctypes
import logging
from typing import Any, NamedTuple

import llama_cpp
from llama_cpp import llama_cpp as native

from app.core.errors import BadSetting
from models.engine.interrupt import Interrupt

log = logging.getLogger("llama.cpp")
PINNED = "0.3.36"
# ggml's levels; 5 continues the line before, whatever that was.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR, 5: logging.DEBUG}

# llama.cpp calls the last one as long as the process lives, also when the model that set it has gone.
_CALLBACKS: list[Any] = []


class Device(NamedTuple):
    """A GPU that this build of llama.cpp can use; memory in bytes."""

    name: str
    free: int
    total: int


class Log:
    """llama.cpp's messages go to our log; the first error of a call is kept, since its functions return no reason.

    A computation that was ended on purpose (`interrupt`) is no error, though llama.cpp says four lines of it.
    """

    def __init__(self) -> None:
        self.interrupt = Interrupt()
        self._error = ""
        callback = native.llama_log_callback(self.write)
        _CALLBACKS.append(callback)
        native.llama_log_set(callback, ctypes.c_void_p(0))

    def write(self, level: int, text: bytes, _data: object) -> None:
        """What llama.cpp calls with each line, from any of its threads."""
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
    """BadSetting unless the installed library is the one whose structures this room was written for.

    The low-level API passes C structures by value: a field more or less in another version would be silent nonsense. Every field
    that is set or read here stands before one of those that are looked at, and what goes through pointers is tried.
    """
    model, context = native.llama_model_default_params(), native.llama_context_default_params()
    found = (
        (model.n_gpu_layers, model.vocab_only, model.use_extra_bufts, model.load_mtp),
        (context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max, context.yarn_ext_factor),
        (context.n_threads, context.n_threads_batch, context.pooling_type, context.flash_attn_type, context.embeddings),
        (context.type_k, context.type_v, context.offload_kqv, context.kv_unified, context.n_samplers),
        native.llama_sampler_chain_default_params().no_perf,
        _chosen(),
        _batch(),
    )
    wanted = ((-1, False, True, False), (512, 2048, 512, 1, -1.0), (4, 4, -1, -1, False), (1, 1, True, False, 0), True, 11, (0, 3, 7))
    if llama_cpp.__version__ != PINNED or found != wanted:
        raise BadSetting(
            f"Local models need llama-cpp-python {PINNED}, but {llama_cpp.__version__} is installed"
            f"{'' if found == wanted else ', and its native library does not fit it'}.",
            hint=f"Run the bootstrap again, or: pip install --force-reinstall llama-cpp-python=={PINNED}",
        )


def _chosen() -> int:
    """A bias makes the second of three tokens the likeliest, and a greedy sampler takes it: 11."""
    tokens = (native.llama_token_data * 3)(*(native.llama_token_data(id, score, 0.0) for id, score in ((10, 3.0), (11, 2.0), (12, 1.0))))
    array = native.llama_token_data_array(tokens, 3, -1, False)
    chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
    bias = (native.llama_logit_bias * 2)(native.llama_logit_bias(12, -1.0), native.llama_logit_bias(11, 5.0))
    native.llama_sampler_chain_add(chain, native.llama_sampler_init_logit_bias(100, 2, bias))
    native.llama_sampler_chain_add(chain, native.llama_sampler_init_greedy())
    native.llama_sampler_apply(chain, ctypes.byref(array))
    native.llama_sampler_free(chain)
    return int(tokens[array.selected].id) if array.selected in range(3) else -1


def _batch() -> tuple[int, int, int]:
    """What is written into a batch of the library's own is read from it again."""
    batch = native.llama_batch_init(4, 0, 1)
    batch.token[3], batch.pos[3], batch.n_seq_id[3], batch.logits[3] = 3, 7, 1, 1
    batch.seq_id[3][0] = 0
    found = batch.n_tokens, batch.token[3], batch.pos[3]
    native.llama_batch_free(batch)
    return found


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
