"""Measures the ways of running a model, one short batch at a time: whoever drives it may do other work between two of them.

    a first look -> threads -> flash attention -> tokens at once -> the curve of small batches

Each candidate takes turns with the best so far. A round in which the processor was busy with something else doesn't count.
The first look says how long all that takes, and what of it there is time for (`plan.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import NamedTuple, Protocol

from app.core.errors import NotReady
from models.engine.decoding import DONE, INTERRUPTED, Decoder
from models.engine.tuning.layout import FEWEST_ROUNDS, UBATCH, Figures, Layout, Tuned, beaten, better, curve, threads_to_try, trial
from models.engine.tuning.plan import LARGEST_PROMPT, SLACK, SMALLEST_PROMPT, STREAMS, WHEN_IDLE, Look, Plan, Time, plan

CELLS = 2048
DEEP = 1024  # tokens before what is measured, where attention is compared: over short texts all of its kinds are alike
QUIET = 0.75  # of the processor time that its threads could have had; less: the machine is busy
MOST_BUSY = 8  # rounds, in all
TOO_BUSY, LATER = "The machine is too busy to measure a model on it.", "Try again when other programs have ended."

Steps = Generator[None, None, Tuned]


class Clocks(NamedTuple):
    """Seconds that pass, and seconds of processor time of this process."""

    wall: Callable[[], float] = time.perf_counter
    processor: Callable[[], float] = time.process_time


class Context(Decoder, Protocol):
    """What is measured: a context that is closed again."""

    def close(self) -> None:
        """Free it."""
        ...


class Opens(Protocol):
    """A loaded model (`models.engine.llama.model.Model`)."""

    def decoder(self, *, cells: int, sequences: int, batch: int, threads: int, ubatch: int, flash: bool) -> Context:
        """A new context."""
        ...


def open_context(model: Opens, layout: Layout) -> Context:
    """A small context in which a layout is measured."""
    return model.decoder(cells=CELLS, sequences=STREAMS, batch=UBATCH, threads=layout.threads, ubatch=layout.ubatch, flash=layout.flash)


class Question(NamedTuple):
    """What is to be found out. `open` makes a context; `settled`: the user chose the threads."""

    open: Callable[[Layout], Context]
    default: Layout
    usable_cores: int
    settled: bool = False
    gpu: bool = False
    time: Time = WHEN_IDLE
    quiet: float = QUIET
    clocks: Clocks = Clocks()


class _Bench:
    """One layout's context. Sequence 0 holds `depth` tokens between two rounds."""

    def __init__(self, question: Question, layout: Layout) -> None:
        self.layout, self.decoder, self.depth = layout, question.open(layout), 0
        self._wall, self._processor = question.clocks
        self.spent = self.used = 0.0

    def compute(self, parts: Sequence[tuple[int, int, int]]) -> Generator[None, None, float]:
        """Seconds for (sequence, position, tokens) in one batch; computed again where it was interrupted."""
        batch = [(sequence, position, [(position + n) % 97 + 3 for n in range(count)]) for sequence, position, count in parts]
        while True:
            yield
            used, began = self._processor(), self._wall()
            status, _ = self.decoder.decode(batch)
            took = self._wall() - began
            self.spent += took
            if status == DONE:
                self.used += self._processor() - used
                return took
            if status != INTERRUPTED or not all(self.decoder.truncate(sequence, position) for sequence, position, _ in parts):
                raise NotReady(f"The model could not be measured (status {status}).", hint="Free some memory, then try again.")

    def fill(self, depth: int) -> Generator[None, None, None]:
        while self.depth < depth:
            count = min(64, depth - self.depth)
            yield from self.compute([(0, self.depth, count)])
            self.depth += count

    def round(self, prompt: int) -> Generator[None, None, Figures]:
        whole = yield from self.compute([(0, self.depth, prompt)])
        at = self.depth + prompt
        one = yield from self.compute([(0, at, 1)])
        one = min(one, (yield from self.compute([(0, at + 1, 1)])))
        many = yield from self.compute([(0, at + 2, 1), *((other, 0, 1) for other in range(1, STREAMS))])
        for other in range(1, STREAMS):
            self.decoder.forget(other)
        if not self.decoder.truncate(0, self.depth):
            self.decoder.forget(0)
            self.depth = 0
        return Figures(one, many, whole)

    def share(self) -> float:
        """Of the processor time that its threads could have had, since the last call."""
        share = self.used / (self.spent * self.layout.threads) if self.spent else 1.0
        self.spent = self.used = 0.0
        return share


class Measurement:
    """One run. `steps()` computes a batch at each `next` and returns what was found."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._spent = 0.0
        self._busy = 0
        self._rounds: dict[tuple[Layout, int], list[Figures]] = {}
        self._undecided: set[tuple[Layout, int]] = set()

    def steps(self) -> Steps:
        """NotReady where the machine was too busy to measure anything."""
        question, best = self._question, self._question.default
        tried = () if question.settled else threads_to_try(best.threads, question.usable_cores)
        ahead = plan((yield from self._look(best)), len(tried), question.time)
        for left, threads in zip(range(len(tried), 0, -1), tried, strict=True):
            other = Layout(threads, best.ubatch, best.flash)
            share = self._spent + (ahead.threads - self._spent) / left
            best = yield from self._compare(ahead, best, other, until=ahead.threads, share=share)
        if (best, 0) not in self._rounds:
            yield from self._measure(ahead, [best], until=ahead.threads)
        if self._fits(ahead, best, DEEP):
            other = Layout(best.threads, best.ubatch, not best.flash)
            best = yield from self._compare(ahead, best, other, until=ahead.others, depth=DEEP)
        if ahead.prompt >= LARGEST_PROMPT // 2 and self._fits(ahead, best, 0):
            other = Layout(best.threads, UBATCH // 4, best.flash)
            best = yield from self._compare(ahead, best, other, until=ahead.others)
        points, through = yield from self._curve(ahead, best)
        trials = [
            trial(where[0], kept, streams=STREAMS, prompt=ahead.prompt, depth=where[1], decided=self._decided(where))
            for where, kept in self._rounds.items()
        ]
        return Tuned(best, tuple(trials), points, complete=through and not self._undecided)

    def _decided(self, where: tuple[Layout, int]) -> bool:
        return where not in self._undecided or len(self._rounds[where]) >= FEWEST_ROUNDS

    def _look(self, layout: Layout) -> Generator[None, None, Look]:
        """How long a step takes; a first batch, which maps the file into memory, doesn't count."""
        bench = _Bench(self._question, layout)
        try:
            yield from bench.compute([(0, 0, SMALLEST_PROMPT)])
            prompt = yield from bench.compute([(0, SMALLEST_PROMPT, SMALLEST_PROMPT)])
            one = yield from bench.compute([(0, 2 * SMALLEST_PROMPT, 1)])
        finally:
            bench.decoder.close()
        return Look(one, prompt)

    def _fits(self, ahead: Plan, best: Layout, depth: int) -> bool:
        """Whether there is time to compare another way with the best one, behind so many tokens."""
        known = self._rounds.get((best, 0))
        if not known:
            return False
        found = trial(best, known, streams=STREAMS, prompt=ahead.prompt)
        once = found.prompt * ahead.prompt + 2 * found.one + STREAMS * found.many
        return SLACK * 2 * (depth * found.prompt + FEWEST_ROUNDS * once) <= ahead.others - self._spent

    def _compare(
        self, ahead: Plan, best: Layout, other: Layout, *, until: float, share: float = inf, depth: int = 0
    ) -> Generator[None, None, Layout]:
        """The faster of two, measured in turn."""
        first, second = yield from self._measure(ahead, [best, other], until=until, share=share, depth=depth)
        if len(first) < FEWEST_ROUNDS and not beaten(first, second):
            self._undecided |= {(best, depth), (other, depth)}
        return other if better(first, second) else best

    def _measure(
        self, ahead: Plan, layouts: Sequence[Layout], *, until: float, share: float = inf, depth: int = 0
    ) -> Generator[None, None, list[list[Figures]]]:
        """Rounds, while a second layout is the faster in each; from `share` seconds on no more than are needed, from `until` on none."""
        benches, rounds = list[_Bench](), [list[Figures]() for _ in layouts]
        try:
            for layout in layouts:
                benches.append(_Bench(self._question, layout))
            while self._spent < until and self._busy < MOST_BUSY and not beaten(rounds[0], *rounds[1:]):
                if len(rounds[0]) >= (ahead.rounds if self._spent < share else FEWEST_ROUNDS):
                    break
                found, quiet = list[Figures](), True
                for bench in benches:
                    yield from bench.fill(depth)
                    found.append((yield from bench.round(ahead.prompt)))
                    quiet = self._quiet(bench) and quiet
                for kept, figures in zip(rounds, found, strict=True):
                    kept += [figures] if quiet else []
        finally:
            for bench in benches:
                bench.decoder.close()
        if self._busy >= MOST_BUSY:
            raise NotReady(TOO_BUSY, hint=LATER)
        for layout, kept in zip(layouts, rounds, strict=True):
            if kept:
                self._rounds.setdefault((layout, depth), []).extend(kept)
        return rounds

    def _quiet(self, bench: _Bench) -> bool:
        """Whether what was computed since the last time had the processor for itself; its time is counted."""
        self._spent += bench.spent
        quiet = bench.share() >= self._question.quiet or self._question.gpu
        self._busy += not quiet
        return quiet

    def _curve(self, ahead: Plan, layout: Layout) -> Generator[None, None, tuple[tuple[tuple[int, float], ...], bool]]:
        """Only for models that can take back what was computed: the others can't speculate. Empty, False: the time was too short."""
        bench = _Bench(self._question, layout)
        times: dict[int, list[float]] = {rows: [] for rows in ahead.rows}
        try:
            if not bench.decoder.truncates:
                return (), True
            yield from bench.fill(SMALLEST_PROMPT)
            while len(times[1]) < ahead.rounds and self._spent < ahead.all:
                found = {}
                for rows in ahead.rows:
                    found[rows] = yield from bench.compute([(0, bench.depth, rows)])
                    bench.decoder.truncate(0, bench.depth)
                if self._quiet(bench):
                    for rows, took in found.items():
                        times[rows].append(took)
                elif self._busy >= MOST_BUSY:
                    raise NotReady(TOO_BUSY, hint=LATER)
        finally:
            bench.decoder.close()
        through = len(times[1]) >= FEWEST_ROUNDS
        return curve(times) if through else (), through
