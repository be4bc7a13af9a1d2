from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.engine.prefix import SHORTEST, WORTH_WAITING, Held, Match, added, cells, clip, common, match, worth_waiting_for

TOKENS = list(range(1000, 1400))
OTHER = list(range(3000, 3400))


def find(wanted: Held, *held: Held, cuts: bool = True, first: int = 0, window: int = 0) -> Match | None:
    return match(wanted, held, cuts=cuts, reaches=lambda _, length: not window or first <= max(0, length - window))


@given(st.lists(st.integers(0, 2), max_size=700), st.lists(st.integers(0, 2), max_size=700), st.integers(0, 700))
def test_common_counts_the_first_tokens_that_are_the_same(one: list[int], other: list[int], shared: int) -> None:
    other = one[:shared] + other
    assert common(one, other) == next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def test_the_longest_beginning_is_found_and_the_last_token_is_left_to_compute() -> None:
    held = [Held(1, TOKENS[:50]), Held(2, TOKENS[:90] + OTHER), Held(3, TOKENS[:70])]
    assert find(Held(-1, TOKENS[:200]), *held) == Match(2, 90, False)
    assert find(Held(-1, TOKENS[:50]), *held) == Match(1, 49, False)


def test_a_beginning_that_is_too_short_is_not_shared() -> None:
    assert find(Held(-1, TOKENS), Held(1, TOKENS[: SHORTEST - 1])) is None
    assert find(Held(-1, TOKENS), Held(1, TOKENS[:SHORTEST])) == Match(1, SHORTEST, False)


def test_nothing_is_shared_between_different_adapters() -> None:
    assert find(Held(-1, TOKENS, (1.0,)), Held(1, TOKENS, (0.5,)), Held(2, TOKENS)) is None


def test_a_kept_sequence_is_taken_over_when_nothing_of_it_is_lost_and_a_running_one_never() -> None:
    kept = Held(1, TOKENS[:100], kept=True)
    assert find(Held(-1, TOKENS[:100] + OTHER), kept) == Match(1, 100, True)
    assert find(Held(-1, TOKENS[:99] + OTHER), kept) == Match(1, 99, False)
    assert find(Held(-1, TOKENS[:100] + OTHER), kept._replace(kept=False)) == Match(1, 100, False)


def test_a_chats_own_sequence_is_taken_over_whatever_is_lost_of_it() -> None:
    kept = Held(1, TOKENS[:300], kept=True, chat="a")
    wanted = Held(-1, TOKENS[:100] + OTHER, chat="a")
    assert find(wanted, kept) == Match(1, 100, True)
    assert find(wanted._replace(chat="b"), kept) == Match(1, 100, False)


def test_a_task_takes_no_chats_sequence_over() -> None:
    kept = Held(1, TOKENS[:100], kept=True, chat="a", rank=0)
    assert find(Held(-1, TOKENS[:100] + OTHER, chat="a", rank=1), kept) == Match(1, 100, False)


def test_where_sequences_can_not_be_cut_only_whole_ones_are_used_and_never_taken_over() -> None:
    whole, longer = Held(1, TOKENS[:80], kept=True), Held(2, TOKENS[:90] + OTHER, kept=True)
    assert find(Held(-1, TOKENS), whole, longer, cuts=False) == Match(1, 80, False)
    assert find(Held(-1, TOKENS[:80]), whole, longer, cuts=False) is None


def test_a_sequence_whose_window_has_moved_on_can_not_be_cut_before_it() -> None:
    held = Held(1, TOKENS[:300] + OTHER, kept=True)
    assert find(Held(-1, TOKENS), held, first=268, window=32) == Match(1, 300, False)
    assert find(Held(-1, TOKENS), held, first=269, window=32) is None


def test_a_request_waits_for_one_that_computes_much_of_its_beginning_unless_that_one_comes_after_it() -> None:
    coming = Held(1, TOKENS[:200] + OTHER, rank=1)
    wanted = Held(-1, TOKENS, rank=1)
    assert worth_waiting_for(wanted, coming, 0) == 200
    assert worth_waiting_for(wanted, coming, 200 - WORTH_WAITING) == 200
    assert worth_waiting_for(wanted, coming, 201 - WORTH_WAITING) == 0
    assert worth_waiting_for(wanted, coming, 199, least=1) == 200
    assert worth_waiting_for(wanted._replace(rank=0), coming, 0) == 0
    assert worth_waiting_for(wanted._replace(group=(1.0,)), coming, 0) == 0


def test_cells_that_several_sequences_share_are_counted_once() -> None:
    first = (((1, 0),), 100)
    copy = (((1, 0), (2, 60)), 90)
    third = (((1, 0), (2, 60), (3, 80)), 85)
    assert added([first, copy, third]) == [100, 30, 5]
    assert added([third, copy, first]) == [85, 10, 40]
    assert cells([first, copy, third]) == cells([third, copy, first]) == 135


def test_what_is_cut_off_a_sequence_is_none_of_its_cells_any_more() -> None:
    lineage = ((1, 0), (2, 60), (3, 80))
    assert clip(lineage, 80) == ((1, 0), (2, 60))
    assert cells([(clip(lineage, 60), 60)]) == 60
