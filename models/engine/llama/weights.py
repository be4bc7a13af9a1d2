"""A GGUF's weights come into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as native

from app.core.errors import BadRequest
from models.engine.llama.binding import Log, self_test


def load(path: Path, log: Log, *, gpu_layers: int, progress: Callable[[float], None] | None) -> Any:
    """The native model. BadRequest where llama.cpp refuses the file."""
    self_test()
    native.llama_backend_init()
    params = native.llama_model_default_params()
    params.n_gpu_layers = gpu_layers

    def on_progress(value: float, _data: object) -> bool:
        if progress is not None:
            progress(value)
        return True

    params.progress_callback = native.llama_progress_callback(on_progress)
    handle = native.llama_model_load_from_file(str(path).encode("utf-8"), params)
    if not handle:
        raise BadRequest(
            f"llama.cpp can't load {path.name}: {log.reason('no reason given')}.",
            hint="Pull the model again, or choose another file.",
            code="bad_model_file",
        )
    return handle
