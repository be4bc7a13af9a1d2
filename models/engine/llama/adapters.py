"""LoRA adapters in native memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from llama_cpp import llama_cpp as native

from app.core.errors import BadSetting
from models.engine.adapters import AdapterFile, Scales
from models.engine.llama.binding import Log


class Adapters:
    """A model's adapters, loaded; they live as long as the model. BadSetting where one doesn't fit it."""

    def __init__(self, model: Any, files: Sequence[AdapterFile], log: Log) -> None:
        self._handles = [_load(model, file, log) for file in files]

    def apply(self, context: Any, scales: Scales) -> None:
        """From now on a context computes with these; llama.cpp leaves it as it is where nothing changes."""
        chosen = [(handle, scale) for handle, scale in zip(self._handles, scales, strict=True) if scale]
        handles = (native.llama_adapter_lora_p_ctypes * len(chosen))(*(handle for handle, _ in chosen))
        native.llama_set_adapters_lora(context, handles, len(chosen), (ctypes.c_float * len(chosen))(*(scale for _, scale in chosen)))


def _load(model: Any, file: AdapterFile, log: Log) -> Any:
    handle = native.llama_adapter_lora_init(model, str(file.path).encode())
    if not handle:
        raise BadSetting(
            f"The adapter '{file.name}' can't be used with this model: {log.reason('no reason given')}.",
            hint="Give a LoRA adapter as GGUF that was made for this very model, or take it out of the settings.",
        )
    return handle
