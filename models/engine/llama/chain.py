"""One row's sampler."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native

from models.engine.llama.guard import Guard
from models.engine.sampling import Link

# Tokens that are tried one after the other where no mask tells which are good.
MOST_TRIES = 24
# A C structure of llama.cpp's: a token, its score, its probability.
_CANDIDATE = np.dtype([("token", np.int32), ("score", np.float32), ("chance", np.float32)])


class Chain:
    """One row's sampler with its memory of what it chose. `guard` keeps it to a grammar, where control tokens (`silent`) have no place."""

    def __init__(
        self, vocabulary_size: int, links: Sequence[Link], never: Sequence[int], guard: Guard | None = None, silent: Sequence[int] = ()
    ) -> None:
        self._size, self._guard, self._silent = vocabulary_size, guard, silent
        self._greedy, self._never = [link.name for link in links] == ["greedy"], frozenset(never)
        self.handle: Any = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        if never:
            bias = (native.llama_logit_bias * len(never))(*(native.llama_logit_bias(token, float("-inf")) for token in never))
            self._add(native.llama_sampler_init_logit_bias(vocabulary_size, len(never), bias))
        for link in links:
            self._add(_LINKS[link.name](vocabulary_size, *link.arguments))

    def _add(self, sampler: Any) -> None:
        native.llama_sampler_chain_add(self.handle, sampler)

    def sample(self, context: Any, index: int) -> int:
        """Choose a token after row `index` of the context's last batch, and remember it."""
        if self._guard is None:
            return self._choose(context, index)
        token = self._guard.forced
        if token is None:
            token = self._choose(context, index)
            # What penalties remember of a refused token is borne: to choose without remembering costs a copy of all scores.
            if not self._guard.allows(token):
                token = self._another(context, index, token)
        self._guard.accept(token)
        return token

    def _choose(self, context: Any, index: int) -> int:
        if self._greedy:
            # A tenth of the time: llama.cpp would copy all scores into candidates first. The first of equal ones, as there.
            best = int(self._scores(context, index).argmax())
            if best not in self._never:
                return best
        return int(native.llama_sampler_sample(self.handle, context, index))

    def _scores(self, context: Any, index: int) -> Any:
        return np.ctypeslib.as_array(native.llama_get_logits_ith(context, index), (self._size,))

    def _another(self, context: Any, index: int, refused: int) -> int:
        """The choice among what the grammar takes; an end token where it takes nothing that may be chosen."""
        assert self._guard is not None
        scores = self._scores(context, index)
        candidates = np.empty(self._size, _CANDIDATE)
        out = [refused]
        for _ in range(1 if self._guard.masks else MOST_TRIES):
            candidates["token"], candidates["score"] = np.arange(self._size), scores
            candidates["score"][out] = -np.inf
            array = native.llama_token_data_array(candidates.ctypes.data_as(native.llama_token_data_p), self._size, -1, False)
            if self._guard.masks:
                candidates["score"][self._silent] = -np.inf
                self._guard.mask(ctypes.byref(array))
            if not np.isfinite(candidates["score"]).any():
                break
            native.llama_sampler_apply(self.handle, ctypes.byref(array))
            token = int(candidates["token"][array.selected])
            if self._guard.allows(token):
                native.llama_sampler_accept(self.handle, token)
                return token
            out.append(token)
        return self._guard.way_out(refused)

    def close(self) -> None:
        """Free it."""
        native.llama_sampler_free(self.handle)
        if self._guard is not None:
            self._guard.close()


def _bias(size: int, *pairs: float) -> Any:
    """A sampler that adds to the scores of tokens: (token, added) one after the other."""
    added = [native.llama_logit_bias(int(token), value) for token, value in zip(pairs[::2], pairs[1::2], strict=True)]
    return native.llama_sampler_init_logit_bias(size, len(added), (native.llama_logit_bias * len(added))(*added))


_LINKS: dict[str, Callable[..., Any]] = {
    "bias": _bias,
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
