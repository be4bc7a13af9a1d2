from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from models.embed_threads import MOST, EmbedThreads


def name() -> str:
    return threading.current_thread().name


def divided(cores: int) -> EmbedThreads:
    threads = EmbedThreads()
    threads.divide(cores, lambda _share: None)
    return threads


@pytest.mark.parametrize(("cores", "count", "share"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (7, 4, 1), (16, 4, 4)])
def test_cores_are_shared_by_a_few_threads_that_are_told_their_share(cores: int, count: int, share: int) -> None:
    threads, told, all_here = EmbedThreads(), [], threading.Barrier(count)
    threads.divide(cores, told.append)
    assert (threads.count, threads.share) == (count, share)
    list(threads.in_turn([lambda: all_here.wait(30)] * count))
    assert told == ([share] * count if count > 1 else [])


def test_heavy_work_has_all_cores_where_it_is_alone_and_a_share_where_it_is_not() -> None:
    threads, go = divided(2), threading.Event()
    whole = threads.whole(name)
    assert threads.begin(name, heavy=True, more=False).result() == whole
    assert threads.begin(name, heavy=False, more=False).result() != whole
    assert threads.begin(name, heavy=True, more=True).result() != whole
    other = threads.begin(go.wait, heavy=False, more=True)
    assert threads.begin(name, heavy=True, more=False).result() != whole
    go.set()
    assert other.result()
    assert threads.begin(name, heavy=True, more=False).result() == whole


def test_what_several_works_give_comes_in_their_order() -> None:
    second = threading.Event()

    def first() -> int:
        assert second.wait(30)
        return 0

    def then() -> int:
        second.set()
        return 1

    assert list(divided(2).in_turn([first, then, *(partial(int, n) for n in range(2, 20))])) == list(range(20))


def test_no_more_is_begun_than_keeps_the_threads_busy_and_nothing_after_a_failure() -> None:
    threads, begun = divided(2), []

    def works() -> Iterator[Callable[[], None]]:
        for number in range(100):
            begun.append(number)
            yield partial(failing, number)

    def failing(number: int) -> None:
        if number == 5:
            raise ValueError(number)

    with pytest.raises(ValueError, match="5"):
        list(threads.in_turn(works()))
    assert 5 < max(begun) <= 5 + MOST
