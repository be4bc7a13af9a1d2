from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.engine.speculation import FREE, GRAM, LONGEST, Drafter, Speculation, speculation

# As measured: a 135M model on one thread of a processor, and as it is on a GPU, where eight rows cost as one.
PROCESSOR = ((1, 1.0), (2, 1.81), (3, 2.51), (4, 3.18), (6, 4.43), (8, 5.63), (12, 7.99), (16, 10.43))
GPU = ((1, 1.0), (2, 1.02), (4, 1.05), (8, 1.1), (16, 1.2))


def test_what_followed_the_last_time_is_guessed() -> None:
    text = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]
    drafter = Drafter(len(text))
    drafter.follow(text)
    assert drafter.draft(text, 3) == [4, 5, 6]
    assert drafter.draft(text, 0) == []


def test_of_two_places_the_later_one_is_followed() -> None:
    text = [1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3]
    drafter = Drafter(0)
    drafter.follow(text)
    assert drafter.draft(text, 1) == [5]


def test_a_text_that_repeats_nothing_is_not_guessed() -> None:
    text = list(range(50))
    drafter = Drafter(0)
    drafter.follow(text)
    assert drafter.draft(text, 8) == []


def test_a_text_shorter_than_what_must_be_the_same_is_not_guessed() -> None:
    for length in range(GRAM + 1):
        drafter = Drafter(0)
        drafter.follow([1] * length)
        assert drafter.draft([1] * length, 8) == []


def test_trust_grows_with_guesses_that_would_have_been_right_and_shrinks_with_wrong_ones() -> None:
    right, wrong, text = Drafter(10), Drafter(10), list(range(10))
    right.follow([*text, *text])
    wrong.follow([*text, 0, 1, 2, 99, 1, 2, 99, 98, 2, 99, 98, 97])
    assert right.trust > 0.8
    assert wrong.trust < 0.5


def test_what_the_prompt_repeats_teaches_no_trust() -> None:
    drafter, prompt = Drafter(30), list(range(10)) * 3
    before = drafter.trust
    drafter.follow(prompt)
    assert drafter.trust == before


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 60))
def test_it_makes_no_difference_in_how_many_parts_a_text_comes(text: list[int], cut: int) -> None:
    whole, parts = Drafter(5), Drafter(5)
    whole.follow(text)
    parts.follow(text[:cut])
    parts.follow(text)
    assert whole.draft(text, LONGEST) == parts.draft(text, LONGEST)
    assert whole.trust == parts.trust


def test_on_a_processor_only_guesses_that_are_nearly_sure_are_computed() -> None:
    costs = Speculation(PROCESSOR)
    assert costs.length(0.8, LONGEST) == 0
    assert costs.length(0.97, LONGEST) >= 3


def test_where_rows_cost_next_to_nothing_weak_guesses_pay_too() -> None:
    assert Speculation(GPU).length(0.5, LONGEST) >= 2


@given(st.floats(0, 1), st.integers(-5, 20))
def test_the_number_of_guesses_stays_within_what_is_allowed(trust: float, most: int) -> None:
    for curve in (PROCESSOR, GPU, FREE):
        assert 0 <= Speculation(curve).length(trust, most) <= min(max(most, 0), LONGEST)


def test_the_setting_decides_and_by_itself_only_a_curve_that_pays() -> None:
    linear = tuple((rows, float(rows)) for rows in (1, 2, 4, 8, 16))
    assert speculation("off", GPU) is None
    assert speculation("auto", ()) is None
    assert speculation("auto", linear) is None
    assert speculation("auto", GPU) is not None
    forced = speculation("on", linear)
    assert forced is not None
    assert forced.length(0.5, 4) == 4
