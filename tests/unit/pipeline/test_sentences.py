from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.pipeline.sentences import complete, split


def test_a_sentence_ends_at_its_mark_in_english_and_korean() -> None:
    assert split("He is here! Is she? 안녕하세요. 저는 김입니다.") == ["He is here!", "Is she?", "안녕하세요.", "저는 김입니다."]


def test_an_abbreviation_and_a_decimal_point_end_no_sentence() -> None:
    assert split("Dr. Kim walks 3.5 km, e.g. on Sundays. He rests.") == ["Dr. Kim walks 3.5 km, e.g. on Sundays.", "He rests."]


def test_list_and_heading_marks_are_not_part_of_a_sentence() -> None:
    assert split("# Leave\n- 15 days\n2) ask first") == ["Leave", "15 days", "ask first"]


def test_lines_broken_by_width_are_one_sentence() -> None:
    assert split("The balance carries\nno warranty. It is old.") == ["The balance carries no warranty.", "It is old."]


def test_the_facts_of_a_row_stand_alone() -> None:
    assert split("A small scale.\n\nname: Quokka\nprice_krw: 4100\nlast order: 3 May") == [
        "A small scale.",
        "name: Quokka",
        "price_krw: 4100",
        "last order: 3 May",
    ]


def test_a_growing_text_holds_back_a_sentence_whose_citation_may_still_come() -> None:
    assert complete("Leave is 15 days. ") == ([], "Leave is 15 days. ")
    assert complete("Leave is 15 days. [1") == ([], "Leave is 15 days. [1")
    assert complete("Leave is 15 days. [1] Ask") == (["Leave is 15 days. [1] "], "Ask")


@given(st.text(alphabet="ab. !?\n[]12,다한글“”", max_size=60), st.lists(st.integers(1, 7), max_size=30))
def test_a_text_cut_anywhere_gives_the_text_again(text: str, steps: list[int]) -> None:
    held, out, rest = "", "", text
    for step in [*steps, len(text) + 1]:
        done, held = complete(held + rest[:step])
        out, rest = out + "".join(done), rest[step:]
    assert out + held == text
