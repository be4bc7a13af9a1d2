"""How much of prompts goes into one step, by the speed that was seen. Pure but for what it remembers."""

from __future__ import annotations

from models.engine import scheduler

STEP_SECONDS = 0.1  # of prompts beside rows that generate, until a step of theirs was seen
STEPS_LOST = 1.5  # how many of their own steps prompts may cost them in one step
PROMPT_SECONDS = 1.0
# A small batch costs more per token, most of all where others use the processor too: it must not look so slow that the next is smaller yet.
WHOLE, WHOLE_SECONDS = 64, 4.0
ENOUGH = 16  # tokens of a prompt in a step of its own whose time says something of larger batches
LEAST_COST = 0.1  # of a step: what the prompts in it cost at least, since times are rough


class Pace:
    """Learns from each step; `prompts` says how many tokens of prompts the next one takes.

    A token costs another time in a large batch than in a small one beside rows that generate; so both are learnt. What goes in
    beside others at most doubles from one step to the next: a guess that is too high would make them wait.
    """

    def __init__(self) -> None:
        self._alone = self._beside = 0.0  # seconds per token of a prompt
        self._step = 0.0  # seconds of a step without prompts
        self._chunk, self._most = 0, 0  # beside rows that generate: tokens in this step, and at most in the next

    @property
    def usual(self) -> float:
        """Seconds of a step without prompts; 0 until one was seen."""
        return self._step

    def prompts(self, largest: int) -> tuple[int, int]:
        """Tokens of prompts in a step of their own, and beside rows that generate."""
        cost = self._alone or self._beside
        alone = max(scheduler.chunk(cost, PROMPT_SECONDS, largest), scheduler.chunk(cost, WHOLE_SECONDS, min(largest, WHOLE)))
        time = min(PROMPT_SECONDS, STEPS_LOST * self._step) if self._step else STEP_SECONDS
        # Where no prompt was seen yet, its tokens may cost as much as those that are generated.
        self._chunk = scheduler.chunk(self._beside or self._alone or self._step, time, min(largest, self._most or largest))
        return alone, self._chunk

    def passed(self, seconds: float, prompts: int, generating: int) -> None:
        """A step was computed with so many tokens of prompts in it, and so many rows that generate."""
        if not prompts:
            self._step = self._step + (seconds - self._step) / 8 if self._step else seconds
        elif generating:
            cost = max(seconds - self._step, LEAST_COST * seconds) / prompts
            self._beside = (self._beside + cost) / 2 if self._beside else cost
            self._most = 2 * max(self._chunk, scheduler.SMALLEST_CHUNK) if cost else 0
        elif prompts >= ENOUGH:
            cost = seconds / prompts
            self._alone = (self._alone + cost) / 2 if self._alone else cost
