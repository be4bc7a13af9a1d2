"""Models that don't fit into the memory: told with their sizes, before or after it has come to that."""

from __future__ import annotations

from pathlib import Path

import psutil

from app.core.errors import BadSetting, OndolError, WorkerDied

_HINT = "Set a smaller `models.context`, choose a smaller model, or close other programs."


def check(cells: int, bytes_per_token: int, free: int) -> None:
    """BadSetting where the KV cache alone is larger than the free memory (bytes): the weights are mapped, and may come and go."""
    if cells * bytes_per_token > free:
        raise BadSetting(
            f"A context of {cells} tokens takes {_size(cells * bytes_per_token)} with this model, but {_size(free)} of memory are free.",
            hint=_HINT,
            code="out_of_memory",
        )


def killed(model: Path) -> OndolError:
    """What to tell of a load that the system has ended without a word: nearly always it was out of memory."""
    try:
        size = f" The model has {_size(model.stat().st_size)}"
    except OSError:
        size = " The model's file is gone"
    free = _size(psutil.virtual_memory().available)
    return WorkerDied(f"The system ended the load of {model.name}: it was out of memory.{size}; {free} are free now.", hint=_HINT)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
