from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.embed_queue import EmbedQueue, Kind, Prepared, batches


@given(st.lists(st.integers(0, 20_000), max_size=200))
def test_every_text_is_in_one_batch_and_no_batch_is_over_its_budget(lengths: list[int]) -> None:
    found = batches(lengths, budget=8_000, most=16)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= 16
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 8_000


def test_a_query_goes_before_the_rest_of_a_bulk_that_came_first() -> None:
    queue = EmbedQueue()
    queue.add(1, Kind.PASSAGE, [Prepared("x", 2_000)] * 3)
    first = queue.take()
    assert first is not None
    assert first[0].id == 1
    queue.add(2, Kind.QUERY, [Prepared("why?", 3)])
    order = []
    while (taken := queue.take()) is not None:
        order.append(taken[0].id)
    assert order == [2, 1, 1]


def test_requests_of_one_kind_are_served_in_the_order_of_their_arrival() -> None:
    queue = EmbedQueue()
    for id in (1, 2, 3):
        queue.add(id, Kind.QUERY, [Prepared("a", 1)])
    taken = [queue.take() for _ in range(3)]
    assert [found[0].id for found in taken if found] == [1, 2, 3]


def test_a_request_that_was_given_up_is_not_worked_on() -> None:
    queue = EmbedQueue()
    queue.add(1, Kind.PASSAGE, [Prepared("a", 1)])
    queue.drop(1)
    assert queue.take() is None


def test_a_request_without_texts_is_answered_too() -> None:
    queue = EmbedQueue()
    queue.add(1, Kind.PASSAGE, [])
    taken = queue.take()
    assert taken is not None
    assert taken[1] == []
    assert not taken[0].left
