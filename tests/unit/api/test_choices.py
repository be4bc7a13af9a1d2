from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from app.api import choices
from app.api.choices import Numbered
from app.core.errors import Busy, WorkerDied
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
    found = await choices.gather(choices.several([partial(words, "a", "b"), partial(words, "c"), partial(words, "d", "e", "f")], each=3), 3)
    assert [one.text for one in found] == ["ab", "c", "def"]


async def test_choices_come_side_by_side() -> None:
    steps = [one async for one in choices.several([partial(words, "a", "b", "c"), partial(words, "d", "e", "f")])]
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

    found = await choices.gather(choices.several([partial(counted, number) for number in range(128)]), 128)
    assert [one.text for one in found] == [str(number) for number in range(128)]
    assert most == choices.AT_ONCE


async def test_the_prompt_that_choices_share_is_counted_once() -> None:
    runs = [partial(words, "a", "b"), *(partial(words, word) for word in "cde")]
    found = await choices.gather(choices.several(runs, each=2), 4)
    assert choices.total([one.done.usage for one in found]) == Usage(10, 5, 4), "two prompts with two choices each"


async def test_an_error_of_one_ends_all_and_is_raised() -> None:
    ended: list[str] = []
    with pytest.raises(WorkerDied):
        await choices.gather(choices.several([partial(endless, ended), broken]), 2)
    assert ended == ["endless"]


async def test_who_leaves_in_the_middle_ends_every_choice() -> None:
    ended: list[str] = []
    steps = choices.several([partial(endless, ended), partial(endless, ended), partial(words, "a", "b", "c", ended=ended)])
    seen = 0
    async for _ in steps:
        seen += 1
        if seen == 5:
            break
    await steps.aclose()
    assert sorted(ended) == ["a", "endless", "endless"]


async def test_one_choice_passes_through_untouched() -> None:
    steps = [one async for one in choices.several([partial(words, "a")])]
    assert steps == [Numbered(0, Text("a")), Numbered(0, Done(usage=Usage(5, 1, 2)))]


class Queue:
    """A model with so many places, `taken` of them by others: who finds none is refused before the first word."""

    def __init__(self, places: int, taken: int) -> None:
        self._places, self.taken, self.refused = places, taken, 0

    async def run(self, number: int) -> AsyncGenerator[Step, None]:
        await asyncio.sleep(0)
        if self.taken >= self._places:
            self.refused += 1
            raise Busy(retry_after=0.01)
        self.taken += 1
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            yield Text(str(number))
            yield Done()
        finally:
            self.taken -= 1


async def test_a_request_that_was_let_in_with_some_of_its_texts_goes_through_with_all_of_them() -> None:
    queue = Queue(places=8, taken=5)
    found = await choices.gather(choices.several([partial(queue.run, number) for number in range(40)]), 40)
    assert [one.text for one in found] == [str(number) for number in range(40)]
    assert queue.refused > 0
    assert queue.taken == 5


async def test_a_request_that_finds_no_place_for_any_of_its_texts_is_refused_at_its_beginning() -> None:
    queue = Queue(places=8, taken=8)
    steps = choices.several([partial(queue.run, number) for number in range(40)])
    with pytest.raises(Busy):
        await anext(steps)
    assert queue.refused == choices.AT_ONCE


async def test_a_lone_text_is_refused_where_there_is_no_place() -> None:
    with pytest.raises(Busy):
        await choices.gather(choices.several([partial(Queue(1, 1).run, 0)]), 1)


async def test_texts_that_wait_for_a_place_that_others_hold_get_it_when_those_have_left() -> None:
    queue = Queue(places=2, taken=1)
    steps = choices.several([partial(queue.run, 0), partial(queue.run, 1)])
    said = []
    async for one in steps:
        said.append(one.choice)
        if isinstance(one.step, Done) and one.choice == 0:
            queue.taken += 1  # somebody else is quicker
            asyncio.get_running_loop().call_later(0.05, lambda: setattr(queue, "taken", 0))
    assert said == [0, 0, 1, 1]
