"""How long a model is measured, and how thoroughly: a slow one for longer, in fewer rounds and sizes of batches. Pure."""

from __future__ import annotations

from typing import NamedTuple

from models.engine.tuning.layout import FEWEST_ROUNDS

STREAMS = 8
ROUNDS = 5
SMALLEST_PROMPT, LARGEST_PROMPT = 16, 512
ROWS = (1, 2, 3, 4, 6, 8, 12, 16)  # sizes of batches whose times make the curve
FEW_ROWS = (1, 2, 4, 8)
SLACK = 1.5  # a machine is not always as fast as at the first look
HOUR, WEEK = 3600.0, 7 * 24 * 3600.0


class Time(NamedTuple):
    """Seconds of computing: `usual` where they are enough, and up to `most` for a model that needs more."""

    usual: float
    most: float


WHEN_IDLE = Time(5.0, 120.0)


class Look(NamedTuple):
    """What the default was seen to take, in seconds: for one token, and for `SMALLEST_PROMPT` of them at once."""

    one: float
    prompt: float

    def step(self, tokens: int) -> float:
        """Of a batch of so many tokens, about."""
        return self.one + (tokens - 1) * max(0.0, self.prompt - self.one) / (SMALLEST_PROMPT - 1)

    def round(self, prompt: int) -> float:
        """Of a prompt, two tokens of one stream, and a step of several streams."""
        return self.step(prompt) + 2 * self.one + self.step(STREAMS)


class Plan(NamedTuple):
    """`threads`, `others`, `all`: the seconds by which threads, the other ways of computing, and the curve must be through."""

    threads: float
    others: float
    all: float
    prompt: int
    rounds: int
    rows: tuple[int, ...]


def plan(look: Look, candidates: int, time: Time) -> Plan:
    """Enough for each of so many numbers of threads to be compared with the best, and for the curve; `time.most` is the end."""
    layouts = max(1, 2 * candidates)

    def threads(prompt: int) -> float:
        return FEWEST_ROUNDS * layouts * look.round(prompt)

    def curve(rows: tuple[int, ...]) -> float:
        return FEWEST_ROUNDS * sum(map(look.step, rows))

    half, quarter = time.usual / 2, time.usual / 4
    if threads(SMALLEST_PROMPT) <= half and curve(ROWS) <= quarter:
        prompt = SMALLEST_PROMPT
        while prompt < LARGEST_PROMPT and threads(2 * prompt) <= half:
            prompt *= 2
        return Plan(half, half + quarter, time.usual, prompt, ROUNDS, ROWS)
    last = SLACK * curve(FEW_ROWS)
    whole = min(time.most, max(time.usual, SLACK * threads(SMALLEST_PROMPT) + last))
    before = whole - min(last, whole / 2)
    return Plan(before, before, whole, SMALLEST_PROMPT, FEWEST_ROUNDS, FEW_ROWS)


def again_after(tries: int) -> float:
    """Seconds before a measurement that did not get through, for so many times by now, is tried again."""
    return min(WEEK, HOUR * (1 << min(tries - 1, 10)))
