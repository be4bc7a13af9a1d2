"""Several tokens in one step: what a text repeats is guessed from its earlier part, and computed together with the next token.

Each guess is checked against what the row's own sampler chooses at its place; the first that differs ends them, and what was
computed after it is taken back. So the text is the one that would have been without guesses, only the steps are fewer. Whether that
is faster depends on what a batch of several rows costs here: the measured curve and how often guesses were right decide.

Only a text that is alone in its step is guessed. Beside others, what is taken back leaves holes that other rows fill: attention
would add up in another order, and a near tie between two words could fall the other way. (And where the processor is the limit,
a batch that is full already has nothing to give.) Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

Curve = tuple[tuple[int, float], ...]  # (rows of a batch, its time over that of one row), both growing

GRAM = 3  # tokens that must be the same before what followed them is guessed again
LONGEST = 8  # guesses in one step
PAYS = 1.05  # how much faster a step with guesses must promise to be
BEGINNING, NEWEST = 0.5, 0.15  # trust in the first guess; weight of the newest one
FREE: Curve = ((1, 1.0), (2, 1.0))  # as if more rows cost nothing: guess whenever there is something to guess


class Drafter:
    """Guesses for one text. It learns from every token whether its guess would have been right, also where none was computed."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._followed: dict[tuple[int, ...], int] = {}
        self._seen = GRAM
        self.trust = BEGINNING

    def follow(self, tokens: Sequence[int]) -> None:
        """Take in what has been added to the text since the last call."""
        for at in range(self._seen, len(tokens)):
            gram = tuple(tokens[at - GRAM : at])
            if at >= self._prompt_tokens and (before := self._followed.get(gram)) is not None:
                self.trust += NEWEST * ((tokens[before] == tokens[at]) - self.trust)
            self._followed[gram] = at
        self._seen = max(self._seen, len(tokens))

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Of a text that `follow` knows: up to `most` tokens that followed the last time that the text stood where it stands now."""
        at = self._followed.get(tuple(tokens[-GRAM:])) if len(tokens) >= GRAM else None
        return list(tokens[at : at + most]) if at is not None and most > 0 else []


class Speculation:
    """How many guesses are worth computing, by the curve of this model on this machine."""

    def __init__(self, curve: Curve) -> None:
        self._curve = curve

    @property
    def ever_pays(self) -> bool:
        """Whether guesses that are always right would make a stream faster."""
        return self.length(1.0, LONGEST) > 0

    def length(self, trust: float, most: int) -> int:
        """The number of guesses, up to `most`, with which a text gets on fastest; 0 where none pays."""
        best, length, expected = PAYS, 0, 1.0
        for guesses in range(1, min(most, LONGEST) + 1):
            expected += trust**guesses
            speed = expected / self._time(1 + guesses)
            if speed > best:
                best, length = speed, guesses
        return length

    def _time(self, rows: int) -> float:
        """Of a batch, in steps of one row; between two points, and beyond the last, along a line."""
        points = self._curve
        above = next((at for at in range(1, len(points) - 1) if points[at][0] >= rows), len(points) - 1)
        (low, early), (high, late) = points[above - 1], points[above]
        return early + (late - early) * (rows - low) / (high - low)


def speculation(mode: str, curve: Curve) -> Speculation | None:
    """By the setting: `on` guesses always, `auto` where the curve (empty: never measured) says that it can pay, `off` never."""
    if mode == "on":
        return Speculation(FREE)
    measured = Speculation(curve) if mode == "auto" and len(curve) > 1 else None
    return measured if measured is not None and measured.ever_pays else None
