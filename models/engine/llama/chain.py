"""One row's sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llama_cpp import llama_cpp as native

from models.engine.sampling import Link


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
