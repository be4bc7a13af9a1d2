from __future__ import annotations

import pytest

from models.engine.tuning.layout import Figures, Layout, beaten, better, curve, threads_to_try, trial

SLOW, FAST = Figures(1.0, 4.0, 8.0), Figures(0.8, 3.0, 7.0)


def test_what_is_clearly_faster_in_every_round_takes_the_place_of_the_default() -> None:
    assert better([SLOW] * 3, [FAST] * 3)


def test_one_round_in_which_the_default_was_not_slower_keeps_the_default() -> None:
    assert not better([SLOW, SLOW, FAST], [FAST, FAST, SLOW])


def test_a_gain_of_a_few_percent_keeps_the_default() -> None:
    slightly = Figures(0.97, 3.9, 7.8)
    assert not better([SLOW] * 5, [slightly] * 5)


def test_what_is_faster_in_two_figures_and_slower_in_the_third_keeps_the_default() -> None:
    assert not better([SLOW] * 5, [Figures(0.7, 2.0, 9.0)] * 5)


def test_two_rounds_are_too_few_to_leave_the_default() -> None:
    assert not better([SLOW] * 2, [FAST] * 2)


def test_a_round_in_which_it_was_not_faster_settles_it_and_without_one_nothing_is_settled() -> None:
    assert beaten([SLOW, FAST], [FAST, SLOW])
    assert not beaten([SLOW, SLOW], [FAST, FAST])
    assert not beaten([SLOW], [])


def test_rounds_are_compared_in_pairs_so_a_machine_that_slows_down_changes_nothing() -> None:
    slower = [Figures(*(figure * factor for figure in SLOW)) for factor in (1, 1.5, 2)]
    faster = [Figures(*(figure * factor for figure in FAST)) for factor in (1, 1.5, 2)]
    assert better(slower, faster)
    assert not better(faster, slower)


@pytest.mark.parametrize(("default", "usable", "tried"), [(1, 1, ()), (2, 2, (1,)), (8, 8, (4, 7)), (8, 16, (4, 7, 16)), (3, 3, (2,))])
def test_threads_are_tried_around_the_default_and_never_above_what_may_be_used(default: int, usable: int, tried: tuple[int, ...]) -> None:
    assert threads_to_try(default, usable) == tried


def test_a_trial_tells_the_middle_of_its_rounds_per_token() -> None:
    rounds = [Figures(0.01, 0.08, 0.64), Figures(0.03, 0.16, 1.28), Figures(0.02, 0.8, 6.4)]
    found = trial(Layout(2), rounds, streams=8, prompt=64)
    assert (found.one, found.many, found.prompt, found.rounds) == (0.02, pytest.approx(0.02), pytest.approx(0.02), 3)


def test_the_curve_takes_each_sizes_best_time_and_never_falls() -> None:
    times = {1: [0.01, 0.02], 2: [0.05, 0.018], 4: [0.017, 0.03], 8: [0.04, 0.05]}
    assert curve(times) == ((1, 1.0), (2, 1.8), (4, 1.8), (8, 4.0))
