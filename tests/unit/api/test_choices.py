from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.api import choices
from app.api.choices import Numbered
from app.core.errors import WorkerDied
from app.core.records import Usage
from app.pipeline.steps import Done, Step, Text


async def words(*said: str, ended: list[str] | None = None) -> AsyncGenerator[Step, None]:
    try:
        for word in said:
            await asyncio.sleep(0)
            yield Text(word)
        yield Done(usage=Usage(5, len(said), 2))
    finally:
        if ended is not None:
            ended.append(said[0])


async def broken() -> AsyncGenerator[Step, None]:
    yield Text("half")
    raise WorkerDied()


async def endless(ended: list[str]) -> AsyncGenerator[Step, None]:
    try:
        while True:
            await asyncio.sleep(0)
            yield Text("on")
    finally:
        ended.append("endless")


async def test_each_choice_has_its_own_text_in_order() -> None:
    found = await choices.gather(choices.several([words("a", "b"), words("c"), words("d", "e", "f")], each=3), 3)
    assert [one.text for one in found] == ["ab", "c", "def"]


async def test_choices_come_side_by_side() -> None:
    steps = [one async for one in choices.several([words("a", "b", "c"), words("d", "e", "f")])]
    order = [one.choice for one in steps]
    assert sorted(order) == [0] * 4 + [1] * 4
    assert order.index(1) < 4, "the second doesn't wait for the first's end"


async def test_no_more_run_at_once_than_leave_a_queue_places_for_others() -> None:
    running, most = 0, 0

    async def counted(number: int) -> AsyncGenerator[Step, None]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        yield Text(str(number))
        running -= 1
        yield Done()

    found = await choices.gather(choices.several([counted(number) for number in range(128)]), 128)
    assert [one.text for one in found] == [str(number) for number in range(128)]
    assert most == choices.AT_ONCE


async def test_the_prompt_that_choices_share_is_counted_once() -> None:
    found = await choices.gather(choices.several([words("a", "b"), words("c"), words("d"), words("e")], each=2), 4)
    assert choices.total([one.done.usage for one in found]) == Usage(10, 5, 4), "two prompts with two choices each"


async def test_an_error_of_one_ends_all_and_is_raised() -> None:
    ended: list[str] = []
    with pytest.raises(WorkerDied):
        await choices.gather(choices.several([endless(ended), broken()]), 2)
    assert ended == ["endless"]


async def test_who_leaves_in_the_middle_ends_every_choice() -> None:
    ended: list[str] = []
    steps = choices.several([endless(ended), endless(ended), words("a", "b", "c", ended=ended)])
    seen = 0
    async for _ in steps:
        seen += 1
        if seen == 5:
            break
    await steps.aclose()
    assert sorted(ended) == ["a", "endless", "endless"]


async def test_one_choice_passes_through_untouched() -> None:
    steps = [one async for one in choices.several([words("a")])]
    assert steps == [Numbered(0, Text("a")), Numbered(0, Done(usage=Usage(5, 1, 2)))]
