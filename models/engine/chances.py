"""How likely the model held its tokens, and with which piece of the text each chance is handed out.

A chance is of the model's own distribution, before penalties, biases, grammars and sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from app.core.records import Chance, Piece

MOST = 20  # alternatives beside each token


def chance(scores: np.ndarray[Any, Any], token: int, count: int, piece: Callable[[int], bytes]) -> Chance:
    """The chance of `token` where the model gave these scores (one per token of its vocabulary), and the `count` best beside it."""
    highest = scores.max()
    # In the 32 bits that the scores have: many times as fast as in 64, and there are hundreds of thousands of them for each token.
    whole = float(highest) + math.log(np.exp(scores - highest).sum(dtype=np.float64))
    best = np.argpartition(-scores, count - 1)[:count] if 0 < count < scores.size else np.arange(scores.size)[: count and None]
    # Of equally likely ones the first in the vocabulary comes first, as greedy sampling chooses.
    order = sorted((int(one) for one in best), key=lambda one: (-scores[one], one))
    top = tuple(Chance(one, piece(one), float(scores[one]) - whole) for one in order)
    return Chance(token, piece(token), float(scores[token]) - whole, top)


class Heard:
    """Chances that wait for their text: it may be held back as a possible stop string or as a part of a character.

    Those of thoughts, tool calls and stop strings are not handed out.
    """

    def __init__(self) -> None:
        self._waiting: list[Chance] = []

    def hear(self, one: Chance) -> None:
        """The next token's."""
        self._waiting.append(one)

    def told(self, piece: Piece, *, stopped: bool = False) -> Piece:
        """The piece with the chances of the tokens that its text is made of. `stopped`: a stop string has ended the answer."""
        if piece.reasoning:
            self._take(piece.reasoning)
        chances = self._take(piece.text) if piece.text else ()
        if stopped or piece.finish_reason == "tool_calls":
            self._waiting = []
        elif piece.finish_reason is not None:
            chances += self._rest()  # tokens that never became text, as half a character does
        return msgspec.structs.replace(piece, chances=chances)

    def _rest(self) -> tuple[Chance, ...]:
        rest, self._waiting = tuple(self._waiting), []
        return rest

    def _take(self, text: str) -> tuple[Chance, ...]:
        data, joined = text.encode(), b"".join(one.data for one in self._waiting)
        # Tags and blanks around thoughts are swallowed: the text may begin later than what waits.
        begin = joined.find(data)
        if begin < 0:
            return self._rest()  # bytes that are no characters were replaced in the text
        taken, kept, at = [], [], 0
        for one in self._waiting:
            if begin <= at < begin + len(data) or (at < begin < at + len(one.data)):
                taken.append(one)
            elif at >= begin + len(data):
                kept.append(one)
            at += len(one.data)
        self._waiting = kept
        return tuple(taken)
