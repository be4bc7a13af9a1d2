"""How much of prompts goes into one step, by the speed that was seen. Pure but for what it remembers."""

from __future__ import annotations

from models.engine import scheduler

STEP_SECONDS = 0.1  # of prompts beside rows that generate; less where a step of theirs is much shorter
STEPS_LOST = 1.5  # how many of their own steps prompts may cost them in one step
PROMPT_SECONDS = 1.0


class Pace:
    """Learns from each step; `prompts` says how many tokens of prompts the next one takes."""

    def __init__(self) -> None:
        self._token = 0.0  # seconds per token of a prompt
        self._step = 0.0  # seconds of a step without prompts

    def prompts(self, largest: int) -> tuple[int, int]:
        """Tokens of prompts in a step of their own, and beside rows that generate."""
        alone = scheduler.chunk(self._token, PROMPT_SECONDS, largest)
        beside = min(STEP_SECONDS, STEPS_LOST * self._step) if self._step else STEP_SECONDS
        return alone, scheduler.chunk(self._token, beside, alone)

    def passed(self, seconds: float, prompts: int, rows: int) -> None:
        """A step of so many rows was computed, with so many tokens of prompts in it."""
        if prompts >= scheduler.SMALLEST_CHUNK:
            seen = seconds / (prompts + rows)
            self._token = (self._token + seen) / 2 if self._token else seen
        elif not prompts:
            self._step = self._step + (seconds - self._step) / 8 if self._step else seconds
