"""Several answers to one request: their steps in one stream, each with the number of its choice.

Choices of one prompt share it: its tokens stand in the usage of the first of them alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from app.core.records import CallPart, Chance, Usage
from app.pipeline.steps import Call, Done, Step, Text, Thought

# A request with more texts than a queue has places would be refused for ever, and would leave none to others.
AT_ONCE = 32


class Numbered(NamedTuple):
    """A step of one choice."""

    choice: int
    step: Step


async def several(runs: Sequence[AsyncGenerator[Step, None]], *, each: int = 1) -> AsyncGenerator[Numbered, None]:
    """The steps of all runs as they come, of `AT_ONCE` at a time; `each`: how many runs in a row share a prompt.

    An error of one ends all. Closing this closes all.
    """
    if len(runs) == 1:
        async with aclosing(runs[0]) as steps:
            async for step in steps:
                yield Numbered(0, step)
        return
    # Bounded: a client that reads slowly must not fill the memory.
    news: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(len(runs))
    places = asyncio.Semaphore(AT_ONCE)
    tasks = [asyncio.create_task(_follow(choice, run, news, places)) for choice, run in enumerate(runs)]
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


async def _follow(
    choice: int, run: AsyncGenerator[Step, None], news: asyncio.Queue[Numbered | Exception | None], places: asyncio.Semaphore
) -> None:
    try:
        async with places, aclosing(run) as steps:
            async for step in steps:
                await news.put(Numbered(choice, step))
    except Exception as error:  # noqa: BLE001 - raised again where the steps are read
        await news.put(error)
    else:
        await news.put(None)


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
