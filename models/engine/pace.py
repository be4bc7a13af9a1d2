"""How much of prompts goes into one step, by the speed that was seen. Pure but for what it remembers."""

from __future__ import annotations

from models.engine import scheduler
from models.engine.outlet import EVERY

STEP_SECONDS = 0.1  # of prompts beside rows that generate, until a step of theirs was seen
STEPS_LOST = 1.5  # how many of their own steps prompts may cost rows that generate in one; text goes out no faster than each `EVERY`
PROMPT_SECONDS = 1.0
EXACT_ROWS = 63
AT_ONCE = 0.25  # seconds that short prompts may take beside rows that generate, all of them together
# A small batch costs more per token, most of all where others use the processor too: it must not look so slow that the next is smaller yet.
WHOLE, WHOLE_SECONDS = 64, 4.0
ENOUGH = 16  # tokens of a prompt in a step of its own whose time says something of larger batches
LEAST_COST = 0.1  # of a step: what the prompts in it cost at least, since times are rough


class Pace:
    """Learns from each step; `prompts` says how many tokens of prompts the next one takes.

    A token costs another time in a large batch than in a small one beside rows that generate; so both are learnt, the latter as
    what each row adds to a step (`_each`) beyond what it costs at all (`_base`). What goes in
    beside others at most doubles from one step to the next: a guess that is too high would make them wait.
    """

    def __init__(self) -> None:
        self._alone = 0.0  # seconds per token of a prompt
        self._base = self._each = 0.0  # seconds, of steps with rows that generate
        self._step, self._rows = 0.0, 0  # seconds of a step without prompts, and how many rows it had last
        self._chunk, self._most = 0, 0  # beside rows that generate: tokens in this step, and at most in the next

    @property
    def usual(self) -> float:
        """Seconds of a step without prompts; 0 until one was seen."""
        return self._step

    def prompts(self, largest: int, generating: int = 1, reading: int = 1, tokens: int = 0) -> tuple[int, int]:
        """Tokens of prompts in a step of their own, and beside so many rows that generate, when so many prompts are to be read.

        Where more wait for their first token than write, a step may cost those who write far more: all of them get on soonest so.
        Prompts of so few `tokens` in all (0: not known) that they are read in a moment are read at once: nobody notices one pause.
        """
        cost = self._alone or self._each
        alone = max(scheduler.chunk(cost, PROMPT_SECONDS, largest), scheduler.chunk(cost, WHOLE_SECONDS, min(largest, WHOLE)))
        now = self._base + self._each * generating
        step = self._step if self._rows == generating else now
        crowd = max(1.0, reading / max(1, generating)) ** 2
        # Rows that generate are slower the longer the prompt beside them has become: that is its cost, too.
        beat = max(step, EVERY)
        time = min(PROMPT_SECONDS, STEPS_LOST * crowd * beat + beat - max(step, now)) if step else STEP_SECONDS
        smallest = 1 if reading == 1 else scheduler.SMALLEST_CHUNK
        self._chunk = scheduler.chunk(self._each or self._alone, time, min(largest, self._most or largest), smallest)
        if 0 < tokens * self._each <= AT_ONCE:
            # Not more rows than llama.cpp adds up in the same order as one.
            self._chunk = max(self._chunk, min(largest, tokens, EXACT_ROWS - generating))
        return alone, self._chunk

    def passed(self, seconds: float, prompts: int, generating: int) -> None:
        """A step was computed with so many tokens of prompts in it, and so many rows that generate."""
        if generating:
            self._learn(seconds, prompts + generating)
        if not prompts:
            same = self._step and self._rows == generating
            self._step = self._step + (seconds - self._step) / 8 if same else seconds
            self._rows = generating
        elif generating:
            self._most = 2 * max(self._chunk, scheduler.SMALLEST_CHUNK)
        elif prompts >= ENOUGH:
            cost = seconds / prompts
            self._alone = (self._alone + cost) / 2 if self._alone else cost

    def _learn(self, seconds: float, rows: int) -> None:
        """The nearest pair of `_base` and `_each` that explains this step (normalised least mean squares, at full rate)."""
        if not self._each:
            self._base = self._each = seconds / (1 + rows)
        missed = (seconds - self._base - self._each * rows) / (1 + rows * rows)
        self._base = max(0.0, self._base + missed)
        self._each = max(LEAST_COST * seconds / rows, self._each + missed * rows)
