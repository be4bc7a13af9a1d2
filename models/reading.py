"""Texts as an embedding model reads them: token ids, made once of each, and padded into arrays. No torch.

The library's own call makes them too, but in Python's lock, with what it looks up for each batch anew; and the lengths by which
batches are put together would have to be counted beforehand, which is the same work once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.int64]]
"""By the model's own names, each of shape (texts, longest of them)."""
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
# Characters of a text for each token that the model may read. No prose has so many: what comes behind them is read only where, of what
# comes before, too few tokens were made.
_ENOUGH = 16


class Reading:
    """By a model's tokenizer (of the tokenizers library; for this alone from now on). Any number of threads may use it.

    `pad`, `left`: what fills a shorter text up, and where; `most`: tokens of the longest text; `names`: of the arrays.
    """

    def __init__(self, tokenizer: Any, pad: int, *, left: bool, most: int, names: Sequence[str], prefix: str) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(most)
        self._most = most
        self._tokenizer, self._pad, self._left, self._names, self._prefix = tokenizer, pad, left, names, prefix

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text with its prefix, special tokens among them."""
        whole = [self._prefix + text for text in texts]
        made = self._made([text[: _ENOUGH * self._most] for text in whole])
        for at, text in enumerate(whole):
            if len(text) > _ENOUGH * self._most and len(made[at]) < self._most:
                [made[at]] = self._made([text])
        return made

    def padded(self, length: int, grain: int) -> int:
        """Rounded up to a multiple of `grain`, as far as the model reads."""
        return min(-(-length // grain) * grain, max(length, self._most))

    def _made(self, texts: list[str]) -> list[list[int]]:
        return [found.ids for found in self._tokenizer.encode_batch_fast(texts)]

    def arrays(self, ids: Sequence[Sequence[int]], grain: int = 1) -> Arrays:
        """What the model takes of several texts at once: padded to the longest, or to `padded` of it."""
        longest = self.padded(max(map(len, ids), default=0), grain)
        made = {name: np.zeros((len(ids), longest), dtype=np.int64) for name in self._names}
        made[IDS].fill(self._pad)
        for row, its in enumerate(ids):
            place = slice(longest - len(its), longest) if self._left else slice(len(its))
            made[IDS][row, place] = its
            made[MASK][row, place] = 1
        return made


def samples(most: int) -> list[str]:
    """Texts that show how a model's own code prepares them: empty, in capitals, with spaces, of two scripts, too long for it."""
    return ["", "  Two\n\nlines, of UPPER and lower case.  ", "온돌은 방바닥 밑으로 더운 연기를 보낸다.", "word " * (most + 8)]


def learned(tokenizer: Any, pad: int, *, left: bool, prefix: str, most: int, theirs: Mapping[str, Any]) -> Reading | None:
    """A reading that prepares the samples as the model's own code did (`theirs`); None where there is none."""
    if not {IDS, MASK} <= theirs.keys() <= {IDS, MASK, TYPES}:
        return None
    found = Reading(tokenizer, pad, left=left, most=most, names=tuple(theirs), prefix=prefix)
    ours = found.arrays(found.ids(samples(most)))
    # Without a text that was cut it can't be told how its own code cuts.
    same = theirs[IDS].shape[1] == most and all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    return found if same else None
