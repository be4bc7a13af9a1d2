"""Measures the ways of running a model, one short batch at a time: whoever drives it may do other work between two of them.

    threads -> flash attention -> tokens at once -> the curve of small batches

Each candidate takes turns with the best so far. A round in which the processor was busy with something else doesn't count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol

from app.core.errors import NotReady
from models.engine.decoding import DONE, INTERRUPTED, Decoder
from models.engine.tuning.layout import FEWEST_ROUNDS, ROWS, UBATCH, Figures, Layout, Trial, Tuned, better, curve, threads_to_try, trial

STREAMS = 8
CELLS = 2048
SMALLEST_PROMPT, LARGEST_PROMPT = 16, 512
DEEP = 1024  # tokens before what is measured, where attention is compared: over short texts all of its kinds are alike
ROUNDS = 5
BUDGET = 5.0  # seconds
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
    """What is to be found out. `open` makes a context; `settled`: the user chose the threads; `budget` in seconds of measuring."""

    open: Callable[[Layout], Context]
    default: Layout
    usable_cores: int
    settled: bool = False
    gpu: bool = False
    budget: float = BUDGET
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
        self._trials: dict[Layout, Trial] = {}
        self._prompt = SMALLEST_PROMPT

    def steps(self) -> Steps:
        """NotReady where the machine was too busy to measure anything."""
        question, best = self._question, self._question.default
        yield from self._prompt_size(best)
        if not question.settled:
            for threads in threads_to_try(best.threads, question.usable_cores):
                best = yield from self._compare(best, Layout(threads, best.ubatch, best.flash), until=0.5)
        if best not in self._trials:
            yield from self._rounds([best], until=0.5)
        per_token = self._trials[best].prompt if best in self._trials else 0.0
        if 0 < 2 * DEEP * per_token < question.budget / 3:
            best = yield from self._compare(best, Layout(best.threads, best.ubatch, not best.flash), until=0.8, depth=DEEP)
        if self._prompt >= LARGEST_PROMPT // 2:
            best = yield from self._compare(best, Layout(best.threads, UBATCH // 4, best.flash), until=0.9)
        found = yield from self._curve(best)
        return Tuned(best, tuple(self._trials.values()), found)

    def _prompt_size(self, layout: Layout) -> Generator[None, None, None]:
        """The longest prompt that leaves time for all rounds; a first batch, which maps the file into memory, doesn't count."""
        bench = _Bench(self._question, layout)
        try:
            yield from bench.compute([(0, 0, SMALLEST_PROMPT)])
            took = yield from bench.compute([(0, SMALLEST_PROMPT, SMALLEST_PROMPT)])
        finally:
            bench.decoder.close()
        self._spent += bench.spent
        fitting = int(self._question.budget / 24 / (took / SMALLEST_PROMPT))
        self._prompt = max(SMALLEST_PROMPT, min(LARGEST_PROMPT, 1 << max(0, fitting.bit_length() - 1)))

    def _compare(self, best: Layout, other: Layout, *, until: float, depth: int = 0) -> Generator[None, None, Layout]:
        """The faster of two, measured in turn up to this share of the budget."""
        first, second = yield from self._rounds([best, other], until=until, depth=depth)
        return other if better(first, second) else best

    def _rounds(self, layouts: Sequence[Layout], *, until: float, depth: int = 0) -> Generator[None, None, list[list[Figures]]]:
        question, benches = self._question, list[_Bench]()
        rounds: list[list[Figures]] = [[] for _ in layouts]
        try:
            benches += [_Bench(question, layout) for layout in layouts]
            while len(rounds[0]) < ROUNDS and self._spent < question.budget * until and self._busy < MOST_BUSY:
                found, quiet = list[Figures](), True
                for bench in benches:
                    yield from bench.fill(depth)
                    found.append((yield from bench.round(self._prompt)))
                    quiet = self._quiet(bench) and quiet
                for kept, figures in zip(rounds, found, strict=True):
                    kept += [figures] if quiet else []
        finally:
            for bench in benches:
                bench.decoder.close()
        if self._busy >= MOST_BUSY:
            raise NotReady(TOO_BUSY, hint=LATER)
        for layout, kept in zip(layouts, rounds, strict=True):
            if kept and layout not in self._trials:
                self._trials[layout] = trial(layout, kept, streams=STREAMS, prompt=self._prompt)
        return rounds

    def _quiet(self, bench: _Bench) -> bool:
        """Whether what was computed since the last time had the processor for itself; its time is counted."""
        self._spent += bench.spent
        quiet = bench.share() >= self._question.quiet or self._question.gpu
        self._busy += not quiet
        return quiet

    def _curve(self, layout: Layout) -> Generator[None, None, tuple[tuple[int, float], ...]]:
        """Only for models that can take back what was computed: the others can't speculate. Empty where the time was too short."""
        bench = _Bench(self._question, layout)
        times: dict[int, list[float]] = {rows: [] for rows in ROWS}
        try:
            if not bench.decoder.truncates:
                return ()
            yield from bench.fill(SMALLEST_PROMPT)
            while len(times[1]) < ROUNDS and self._spent < self._question.budget:
                found = {}
                for rows in ROWS:
                    found[rows] = yield from bench.compute([(0, bench.depth, rows)])
                    bench.decoder.truncate(0, bench.depth)
                if self._quiet(bench):
                    for rows, took in found.items():
                        times[rows].append(took)
                elif self._busy >= MOST_BUSY:
                    raise NotReady(TOO_BUSY, hint=LATER)
        finally:
            bench.decoder.close()
        return curve(times) if len(times[1]) >= FEWEST_ROUNDS else ()
