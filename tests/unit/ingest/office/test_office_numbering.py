from __future__ import annotations

import pytest

from ingest.readers.office.numbering import Level, Numbering, written


def test_an_article_of_a_law_counts_on_and_its_paragraphs_begin_anew_under_each():
    law = Numbering([Level("제%1조", "decimal"), Level("%2.", "syllable")])
    assert [law.next(level) for level in (0, 1, 1, 0, 1)] == ["제1조", "가.", "나.", "제2조", "가."]


def test_a_label_can_name_the_levels_above_it():
    deep = Numbering([Level("^1.", "decimal", 3), Level("^1.^2", "decimal")])
    assert [deep.next(level) for level in (0, 1, 1)] == ["3.", "3.1", "3.2"]


def test_a_bullet_and_an_undefined_level_have_no_label():
    assert [Numbering([Level("\uf0b7", "")]).next(level) for level in (0, 4)] == ["", ""]


@pytest.mark.parametrize(
    ("number", "style", "text"),
    [
        (4, "roman", "iv"), (1994, "Roman", "MCMXCIV"), (3, "syllable", "다"), (20, "circled", "⑳"), (21, "circled", "21"),
        (27, "lower", "27"), (23, "phonetic", "이십삼"), (10, "ideograph", "十"), (7, "decimal", "7"), (0, "roman", "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_in_each_style_as_far_as_it_goes(number, style, text):
    assert written(number, style) == text
