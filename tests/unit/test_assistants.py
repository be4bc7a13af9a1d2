from __future__ import annotations

from app.assistants import mostly_korean, suggested


def test_each_title_asks_in_its_own_language() -> None:
    assert suggested([["Annual leave", "출장 규정"]]) == ("What does “Annual leave” say?", "“출장 규정”에는 어떤 내용이 있나요?")


def test_stores_take_turns_and_four_questions_are_enough() -> None:
    asked = suggested([["a", "b", "c"], ["x"], [], ["m", "n", "o"]])
    assert [question[11] for question in asked] == ["a", "x", "m", "b"]


def test_no_documents_no_questions() -> None:
    assert suggested([[], []]) == ()


def test_a_store_speaks_the_language_of_most_of_its_titles() -> None:
    assert mostly_korean(["연차 휴가", "출장 규정", "Payday"])
    assert not mostly_korean(["연차 휴가", "Payday"])
    assert not mostly_korean([])
