"""How likely a passage speaks about the question at all: the measure behind an honest "not in your data".

Two witnesses, each 0..1:

- *coverage*: the share of the question's words that the passage holds, each word weighing what it is worth (its inverse
  document frequency). A word that the data never uses weighs at most half of the rarest known word: a greeting or a
  typing slip must not turn an answerable question away, and a name that is not there still counts against the passage.
- *nearness*: the cosine between question and passage, counted from the cosine that any passage of the store would have,
  since some embedders give every pair .75 and others .03.

The embedder is a witness only as far as it can read the script of both (`trust`, see `models`' tokenizers: all-MiniLM cuts
a Korean letter into pieces and learned nothing of them). Where question and passage are mostly written in different
scripts, words can hardly match, and nearness alone is enough.

The threshold was chosen on half of the titles of two sets and checked on the other half: see the README.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

import msgspec

DEFAULT_THRESHOLD = 0.38
"""Below it, a search found nothing that speaks about the question."""


class Term(msgspec.Struct, frozen=True):
    """One word of a question: as it was written, the stems that the index knows it by, and in how many chunks it stands."""

    text: str
    stems: tuple[str, ...]
    chunks: int


def weight(found_in: int, total: int) -> float:
    """What a word is worth that stands in `found_in` of `total` chunks: BM25's inverse document frequency, never negative."""
    rarest = math.log(1 + (total + 0.5) / 0.5)
    return math.log(1 + (total - found_in + 0.5) / (found_in + 0.5)) if found_in else rarest / 2


def coverage(terms: Sequence[Term], total: int, stems: Collection[str]) -> float:
    """The weighed share (0..1) of the question's terms whose stems all stand in the passage; 0 for no terms."""
    weights = [weight(min(term.chunks, total), total) for term in terms]
    covered = sum(value for value, term in zip(weights, terms, strict=True) if all(stem in stems for stem in term.stems))
    return covered / whole if (whole := sum(weights)) > 0 else 0.0


def nearness(cosine: float, background: float) -> float:
    """The cosine as a share (0..1) of the way from what any passage has to identity."""
    return min(1.0, max(0.0, (cosine - background) / max(1e-6, 1.0 - background)))


def relevance(covered: float, near: float, trust: float, *, same_script: bool = True) -> float:
    """Both witnesses in one figure (0..1); the embedder's counts by `trust` (0..1)."""
    both = (covered + trust * near) / (1.0 + trust)
    return both if same_script else max(both, trust * near)


def legibility(text: str, offsets: Iterable[tuple[int, int]]) -> float:
    """How far an embedder can read a text, by its tokens' (start, end): 1 down to 0.

    A letter that several tokens share was cut into pieces that mean nothing. Where a fifth of a script's letters are, the embedder
    does not know the script: its whole words are then "unknown" tokens, which look like words from outside. From half of
    the letters on, nothing is left: even a small say for a ranking made of noise costs first places (in Korean R@1 .96 to
    .82 at a weight of .1).
    """
    tokens = Counter(letter for start, end in offsets for letter in range(start, end))
    letters: Counter[str] = Counter()
    shattered: Counter[str] = Counter()
    for place, letter in enumerate(text):
        if script := _script(letter):
            letters[script] += 1
            shattered[script] += tokens[place] > 1
    read = sum(count * max(0.0, 1.0 - 5.0 * shattered[script] / count) for script, count in letters.items())
    return max(0.0, 2.0 * read / letters.total() - 1.0) if letters else 1.0


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    if not letter.isalpha():
        return ""
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]


def main_script(text: str) -> str:
    """The script that most letters of the text are in ("LATIN", "HANGUL", "CJK", ...); "" for no letters."""
    counts = Counter(script for letter in text if (script := _script(letter)))
    return counts.most_common(1)[0][0] if counts else ""
