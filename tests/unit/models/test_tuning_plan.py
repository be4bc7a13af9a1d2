from __future__ import annotations

import pytest

from models.engine.tuning.plan import FEW_ROWS, HOUR, ROWS, WEEK, WHEN_IDLE, Look, Time, again_after, plan

QUICK, SLOW = Look(0.007, 0.02), Look(0.3, 1.5)


def test_a_quick_model_has_the_usual_time_all_sizes_and_a_prompt_that_leaves_room_for_all_rounds() -> None:
    found = plan(QUICK, 2, WHEN_IDLE)
    assert (found.all, found.rows, found.rounds) == (WHEN_IDLE.usual, ROWS, 5)
    assert 12 * QUICK.round(found.prompt) <= found.threads < 12 * QUICK.round(2 * found.prompt)


def test_with_more_time_the_prompt_is_longer() -> None:
    assert plan(QUICK, 2, Time(30, 300)).prompt > plan(QUICK, 2, WHEN_IDLE).prompt


def test_a_slow_model_has_time_for_three_rounds_of_each_pair_and_for_the_curve_after_them() -> None:
    found = plan(SLOW, 2, WHEN_IDLE)
    assert (found.rows, found.rounds, found.prompt) == (FEW_ROWS, 3, 16)
    assert found.threads >= 12 * SLOW.round(16)
    assert found.all - found.others >= 3 * sum(map(SLOW.step, FEW_ROWS))
    assert WHEN_IDLE.usual < found.all < WHEN_IDLE.most


def test_the_time_of_the_slowest_is_bounded_and_half_of_it_is_for_threads_at_least() -> None:
    found = plan(Look(10, 80), 3, WHEN_IDLE)
    assert found.all == WHEN_IDLE.most
    assert found.threads >= found.all / 2


def test_a_time_that_somebody_named_is_kept_to() -> None:
    assert plan(SLOW, 2, Time(3, 3)).all == 3


def test_a_look_in_which_one_token_took_longer_than_many_makes_no_batch_cost_less_than_nothing() -> None:
    assert Look(0.2, 0.1).step(512) == 0.2


@pytest.mark.parametrize(("tries", "seconds"), [(1, HOUR), (2, 2 * HOUR), (5, 16 * HOUR), (9, WEEK), (10_000, WEEK)])
def test_what_did_not_get_through_is_tried_ever_more_rarely_up_to_once_a_week(tries: int, seconds: float) -> None:
    assert again_after(tries) == seconds
