from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.search.relevance import Term, coverage, legibility, main_script, nearness, relevance, weight

SHARE = st.floats(0, 1)


def test_a_passage_that_holds_every_word_covers_the_question() -> None:
    terms = [Term("return", ("return",), 3), Term("scale", ("scale",), 10)]
    assert coverage(terms, 100, {"return", "scale", "other"}) == pytest.approx(1.0)


def test_a_rare_word_counts_for_more_than_a_frequent_one() -> None:
    terms = [Term("the", ("the",), 95), Term("warranty", ("warranti",), 2)]
    assert coverage(terms, 100, {"warranti"}) > 0.9 > 0.1 > coverage(terms, 100, {"the"})


def test_a_word_that_the_data_never_uses_weighs_less_than_a_rare_word_of_it() -> None:
    assert 0 < weight(0, 1000) < weight(1, 1000)


def test_a_word_of_several_stems_is_covered_only_by_all_of_them() -> None:
    terms = [Term("x86-64", ("x86", "64"), 1)]
    assert coverage(terms, 10, {"x86"}) == 0.0


def test_a_question_without_words_is_covered_by_nothing() -> None:
    assert coverage([], 10, {"a"}) == 0.0


def test_nearness_counts_from_what_any_passage_would_have() -> None:
    assert nearness(0.75, 0.75) == 0.0
    assert nearness(0.9, 0.8) == pytest.approx(nearness(0.5, 0.0))


def test_an_embedder_that_cannot_read_the_question_has_no_say() -> None:
    assert relevance(0.2, 0.9, 0.0) == pytest.approx(0.2)
    assert relevance(0.0, 0.9, 0.0, same_script=False) == 0.0


def test_between_two_scripts_nearness_alone_is_enough_and_shared_words_still_count() -> None:
    assert relevance(0.0, 0.6, 1.0, same_script=False) == pytest.approx(0.6)
    assert relevance(1.0, 0.0, 1.0, same_script=False) == pytest.approx(0.5)


@given(SHARE, SHARE, SHARE, st.booleans())
def test_relevance_is_a_share(covered: float, near: float, trust: float, same: bool) -> None:
    assert 0.0 <= relevance(covered, near, trust, same_script=same) <= 1.0


@given(SHARE, SHARE, SHARE)
def test_more_coverage_never_lowers_relevance(low: float, high: float, near: float) -> None:
    low, high = sorted((low, high))
    assert relevance(low, near, 1.0) <= relevance(high, near, 1.0)


def test_whole_words_and_letters_are_legible_and_letters_in_pieces_are_not() -> None:
    assert legibility("scale box", [(0, 5), (6, 9)]) == 1.0
    assert legibility("東京", [(0, 1), (1, 2)]) == 1.0
    assert legibility("온돌", [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)]) == 0.0


def test_words_taken_whole_do_not_help_a_script_whose_other_letters_are_in_pieces() -> None:
    assert legibility("양상추는 달다", [(0, 4), (5, 6), (5, 6), (6, 7), (6, 7)]) == 0.0


def test_a_foreign_word_in_a_legible_question_takes_a_part_of_the_trust() -> None:
    assert 0.0 < legibility("heating 온", [(0, 7), (8, 9), (8, 9)]) < 1.0


def test_digits_and_marks_say_nothing_of_a_script() -> None:
    assert legibility("온 2018-05-19 ...", [(0, 1), (0, 1), *((at, at + 1) for at in range(2, 16))]) == 0.0
    assert legibility("12 + 3", [(0, 2), (3, 4), (5, 6)]) == 1.0


@pytest.mark.parametrize(("text", "script"), [("What is 온돌?", "LATIN"), ("온돌이란 what", "HANGUL"), ("東京", "CJK"), ("12 + 3", "")])
def test_a_text_has_the_script_of_most_of_its_letters(text: str, script: str) -> None:
    assert main_script(text) == script
