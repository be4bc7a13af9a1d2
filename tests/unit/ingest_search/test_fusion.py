from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.fusion import fuse

LEG = st.tuples(st.just(0.0) | st.floats(0.001, 2), st.lists(st.integers(0, 30), unique=True, max_size=20))


def test_what_leads_every_leg_scores_one() -> None:
    assert fuse([(1.0, ["a", "b"]), (0.5, ["a", "c"])])[0] == ("a", 1.0)


def test_two_legs_that_agree_beat_one_that_leads() -> None:
    assert next(iter(fuse([(1.0, ["a", "b"]), (1.0, ["c", "b"])])))[0] == "b"


def test_an_empty_leg_changes_no_score() -> None:
    assert fuse([(1.0, ["a", "b"]), (0.5, [])]) == fuse([(1.0, ["a", "b"])])


def test_a_leg_without_weight_brings_nothing_in() -> None:
    assert [key for key, _ in fuse([(1.0, ["a"]), (0.0, ["b"])])] == ["a"]


def test_nothing_fused_is_nothing() -> None:
    assert fuse([(1.0, []), (0.5, [])]) == []


@given(st.lists(LEG, max_size=4))
def test_scores_are_shares_in_falling_order_and_each_key_stands_once(legs: list[tuple[float, list[int]]]) -> None:
    fused = fuse(legs)
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1.0 + 1e-9 for score in scores)
    assert {key for key, _ in fused} == {key for weight, keys in legs if weight > 0 for key in keys}
    assert len({key for key, _ in fused}) == len(fused)


@given(st.lists(st.integers(), unique=True, max_size=30))
def test_one_leg_alone_keeps_its_order(keys: list[int]) -> None:
    assert [key for key, _ in fuse([(0.7, keys)])] == keys
