"""Whether a text is the one that a model writes alone, or parts from it where two words are as good as equal.

Rows that are computed in larger batches, or take over the cells of others, are added up in another order; that moves the scores of
models with small random weights by up to 0.02.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from models.engine.worker import LoadedEngine

NEAR = 0.05


class Listening:
    """A context that remembers the scores at each choice."""

    def __init__(self, decoder: Any) -> None:
        self._decoder, self.heard = decoder, list[Any]()

    def sample(self, chain: Any, index: int) -> int:
        self.heard.append(np.array(self._decoder.scores(index)))
        return int(self._decoder.sample(chain, index))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def heard(made: LoadedEngine, write: Callable[[], object]) -> list[Any]:
    """The scores at each choice of what `write` has written over an empty cache; a text goes on, so its end is no choice."""
    engine = made.engine
    engine._keeping.clear()
    assert engine._keeping._shelf is not None
    engine._keeping._shelf._entries.clear()
    real, listening = engine._decoder, Listening(engine._decoder)
    engine._decoder = listening
    try:
        write()
    finally:
        engine._decoder = real
    for scores in listening.heard:
        scores[list(made.model.end_tokens)] = -np.inf
    return listening.heard


def tells_the_same(tokens: list[int], scores: list[Any]) -> bool:
    """Whether each token is the best one, up to where one is as good as the best."""
    for token, one in zip(tokens, scores, strict=True):
        if int(one.argmax()) != token:
            return bool(one.max() - one[token] < NEAR)
    return True
