from __future__ import annotations

import asyncio

import pytest

from app.core.errors import WorkerDied
from app.pipeline.turns import MOST_TRIES, Turns


class Work:
    """Something long to do; remembers how often it was begun and given up."""

    def __init__(self) -> None:
        self.begun = self.given_up = 0
        self.go = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return "done"


async def settled(turns: int = 20) -> None:
    for _ in range(turns):
        await asyncio.sleep(0.001)


async def test_work_waits_until_the_chat_has_its_first_text() -> None:
    turns, work = Turns(lull=0.001), Work()
    work.go.set()
    with turns.chat() as begun:
        behind = asyncio.create_task(turns.behind(work))
        await settled()
        assert work.begun == 0
        begun()
        assert await behind == "done"


async def test_a_chat_that_comes_just_after_is_let_go_first() -> None:
    turns, work = Turns(lull=0.05), Work()
    work.go.set()
    behind = asyncio.create_task(turns.behind(work))
    await asyncio.sleep(0)
    with turns.chat() as begun:
        await settled(60)
        assert work.begun == 0
        begun()
        assert await behind == "done"


async def test_work_makes_room_for_a_chat_and_is_begun_again() -> None:
    turns, work = Turns(lull=0.001), Work()
    behind = asyncio.create_task(turns.behind(work))
    await settled()
    assert work.begun == 1
    with turns.chat():
        await settled()
        assert (work.begun, work.given_up) == (1, 1)
    work.go.set()
    assert await behind == "done"
    assert work.begun == 2


async def test_a_chat_that_ends_without_a_text_holds_nobody_up() -> None:
    turns, work = Turns(lull=0.001), Work()
    work.go.set()
    with pytest.raises(WorkerDied), turns.chat():
        raise WorkerDied()
    assert await turns.behind(work) == "done"


async def test_after_some_tries_there_is_no_result() -> None:
    turns, work = Turns(lull=0.001), Work()
    behind = asyncio.create_task(turns.behind(work))
    while not behind.done():
        await settled(5)
        with turns.chat():
            await settled(5)
    assert behind.result() is None
    assert work.begun == MOST_TRIES


async def test_the_works_error_comes_out_and_leaving_gives_it_up() -> None:
    async def fails() -> str:
        raise WorkerDied()

    turns, work = Turns(lull=0.001), Work()
    with pytest.raises(WorkerDied):
        await turns.behind(fails)
    behind = asyncio.create_task(turns.behind(work))
    await settled()
    behind.cancel()
    await settled()
    assert work.given_up == 1
