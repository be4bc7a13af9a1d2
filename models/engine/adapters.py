"""LoRA adapters over a model's weights: which ones a request wants, and how strongly. Pure.

An adapter has a number, its place in the model's list. Requests whose adapters differ can't share a batch nor a cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.core.errors import BadRequest
from app.core.records import Adapter

Scales = tuple[float, ...]  # one for each adapter of the model, in order; 0: off


class AdapterFile(msgspec.Struct, frozen=True):
    """A GGUF with a LoRA adapter, under the name that people know it by. `scale`: how strongly it counts where a request says nothing."""

    name: str
    path: str
    scale: float = 1.0


def scales(wanted: Sequence[Adapter] | None, usual: Scales) -> Scales:
    """Each adapter's strength for a request; what it doesn't name is off, unless it names nothing at all. BadRequest for unknown ones."""
    if wanted is None:
        return usual
    found = [0.0] * len(usual)
    for one in wanted:
        if not 0 <= one.id < len(usual):
            there = f"There are {len(usual)}, from 0 on: GET /lora-adapters." if usual else "This model has none."
            raise BadRequest(f"There is no adapter {one.id}.", hint=there, param="lora")
        if not abs(one.scale) <= LARGEST_SCALE:
            raise BadRequest(f"An adapter's scale is {one.scale}.", hint=f"Give one up to {LARGEST_SCALE}.", param="lora")
        found[one.id] = one.scale
    return tuple(found)


LARGEST_SCALE = 100
