"""Several answers to one request: their steps in one stream, each with the number of its choice.

Choices of one prompt share it: its tokens stand in the usage of the first of them alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from app.core.errors import Busy
from app.core.records import CallPart, Chance, Usage
from app.pipeline.steps import Call, Done, Step, Text, Thought

# A request with more texts than a queue has places would be refused for ever, and would leave none to others.
AT_ONCE = 32


class Numbered(NamedTuple):
    """A step of one choice."""

    choice: int
    step: Step


Begin = Callable[[], AsyncGenerator[Step, None]]
"""Begins the steps of one choice; again, where a full queue refused them before the first."""


async def several(runs: Sequence[Begin], *, each: int = 1) -> AsyncGenerator[Numbered, None]:
    """The steps of all runs as they come, of `AT_ONCE` at a time; `each`: how many runs in a row share a prompt.

    An error of one ends all. `Busy` only where the queue has no place for any of them: once one is in, the others wait until there is
    room. Closing this closes all.
    """
    if len(runs) == 1:
        async with aclosing(runs[0]()) as steps:
            async for step in steps:
                yield Numbered(0, step)
        return
    # Bounded: a client that reads slowly must not fill the memory.
    news: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(len(runs))
    places, crowd = asyncio.Semaphore(AT_ONCE), _Crowd()
    tasks = [asyncio.create_task(_follow(choice, run, news, places, crowd)) for choice, run in enumerate(runs)]
    left = len(tasks)
    try:
        while left:
            one = await news.get()
            if isinstance(one, Exception):
                raise one
            if one is None:
                left -= 1
            else:
                yield _counted_once(one, each)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Crowd:
    """The runs of one request: how many are under way, and whether any of them was let in."""

    def __init__(self) -> None:
        self.under_way, self.let_in = 0, False
        self._left = asyncio.Event()

    @property
    def alone(self) -> bool:
        """Whether the one that asks is the last hope of them all."""
        return not self.let_in and self.under_way == 1

    @contextmanager
    def part(self) -> Iterator[None]:
        """While a run is under way."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def leave(self) -> None:
        """One has ended that had a place."""
        self._left.set()
        self._left = asyncio.Event()

    async def room(self, seconds: float) -> None:
        """Wait until one of them has left its place, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), seconds)


async def _follow(
    choice: int, run: Begin, news: asyncio.Queue[Numbered | Exception | None], places: asyncio.Semaphore, crowd: _Crowd
) -> None:
    try:
        async with places:
            while (wait := await _refused(choice, run, news, crowd)) is not None:
                await crowd.room(wait)
    except Exception as error:  # noqa: BLE001 - raised again where the steps are read
        await news.put(error)
    else:
        await news.put(None)


async def _refused(choice: int, run: Begin, news: asyncio.Queue[Numbered | Exception | None], crowd: _Crowd) -> float | None:
    """Run it to its end; where it found no place while others of the request may have one: in how many seconds to try again."""
    begun = False
    with crowd.part():
        try:
            async with aclosing(run()) as steps:
                async for step in steps:
                    begun = crowd.let_in = True
                    await news.put(Numbered(choice, step))
        except Busy as busy:
            if begun or crowd.alone:
                raise
            return busy.retry_after
    crowd.leave()
    return None


def _counted_once(one: Numbered, each: int) -> Numbered:
    if one.choice % each == 0 or not isinstance(one.step, Done):
        return one
    usage = msgspec.structs.replace(one.step.usage, prompt_tokens=0, cached_tokens=0)
    return one._replace(step=replace(one.step, usage=usage))


@dataclass
class Whole:
    """One choice when all of it is there."""

    text: str = ""
    thought: str = ""
    chances: list[Chance] = field(default_factory=list)
    calls: list[CallPart] = field(default_factory=list)
    done: Done = field(default_factory=Done)

    def take(self, step: Step) -> None:
        """Take the next step in."""
        if isinstance(step, Text):
            self.text += step.text
            self.chances += step.chances
        elif isinstance(step, Thought):
            self.thought += step.text
        elif isinstance(step, Call):
            self.calls.append(step.part)
        elif isinstance(step, Done):
            self.done = step


async def gather(steps: AsyncGenerator[Numbered, None], count: int) -> list[Whole]:
    """All choices, when all have ended."""
    choices = [Whole() for _ in range(count)]
    async with aclosing(steps) as running:
        async for one in running:
            choices[one.choice].take(one.step)
    return choices


def total(usages: Sequence[Usage]) -> Usage:
    """What all choices used together."""
    return Usage(
        sum(one.prompt_tokens for one in usages),
        sum(one.completion_tokens for one in usages),
        sum(one.cached_tokens for one in usages),
    )
