"""The pipeline's pure decisions: what is asked, what fits, what is quoted, what is cited."""

from __future__ import annotations

from array import array

import pytest

from app.core.errors import BadRequest
from app.core.records import Message, Passage
from app.core.terms import is_korean, numbers, terms
from app.pipeline import cite, quote
from app.pipeline.fit import fit, trim
from app.pipeline.gather import merge
from app.pipeline.prompt import build
from app.pipeline.question import question, search_text
from app.pipeline.similarity import Vector


def passage(id: str, text: str, title: str = "", **more: object) -> Passage:
    return Passage(id=id, document_id=id, text=text, title=title, **more)  # type: ignore[arg-type]


def test_the_question_is_the_last_thing_the_user_said() -> None:
    assert question([Message("user", "one"), Message("assistant", "two"), Message("user", "three")]) == "three"


def test_a_chat_without_a_question_is_refused() -> None:
    with pytest.raises(BadRequest, match="no question"):
        question([Message("system", "be kind"), Message("user", "  ")])


def test_a_short_follow_up_is_searched_together_with_the_question_before() -> None:
    chat = [
        Message("user", "How many days of annual leave do engineers get?"),
        Message("assistant", "15."),
        Message("user", "And managers?"),
    ]
    assert search_text(chat) == "How many days of annual leave do engineers get?\nAnd managers?"
    assert search_text([*chat, Message("user", "Which printer model stands on the third floor?")]).startswith("Which printer")


def test_content_parts_are_read_as_their_text() -> None:
    assert question([Message("user", [{"type": "text", "text": "hello"}, {"type": "image_url"}])]) == "hello"


def test_passages_fill_the_budget_best_first_and_there_is_always_one() -> None:
    long, short = passage("a", "word " * 400), passage("b", "a short one")
    assert fit([long, short], 1) == [long]
    assert fit([short, long], 60) == [short]


def test_what_a_chunk_repeats_of_the_one_before_is_said_once() -> None:
    first = Passage("d#0", "d", "Leave is 15 days. Ask your manager.", store="s")
    second = Passage("d#1", "d", "Ask your manager. He answers within a week.", store="s")
    stranger = Passage("e#1", "e", "Ask your manager. She knows.", store="s")
    assert [one.text for one in trim([second, first, stranger], 200)] == ["He answers within a week.", first.text, stranger.text]
    assert trim([first, second], 5) == [first, second]


def test_the_prompt_puts_what_stays_first_and_the_question_last() -> None:
    chat = [Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "When is payday?")]
    built = build("You are HR.", [passage("a", "Payday is the 25th.", "Pay")], chat, "When is payday?")
    assert [message.role for message in built] == ["system", "user", "assistant", "user"]
    assert str(built[0].content).startswith("You are HR.\n\nBe kind.")
    assert str(built[-1].content) == "[1] Pay\nPayday is the 25th.\n\nWhen is payday?"


def test_a_system_message_of_content_parts_stands_in_the_prompt_as_its_text() -> None:
    chat = [Message("system", [{"type": "text", "text": "Be kind."}]), Message("user", "When is payday?")]
    assert str(build("", [], chat, "When is payday?")[0].content).startswith("Be kind.\n\n")


def test_korean_terms_are_bigrams_and_english_terms_are_stemmed() -> None:
    assert terms("연차휴가는 returns policies") == ["연차", "차휴", "휴가", "가는", "return", "policy"]


def test_a_question_with_some_korean_is_answered_in_korean() -> None:
    assert is_korean("VPN 접속은 어떻게 하나요?")
    assert not is_korean("How do I say 안녕 in a very long English sentence?")


def test_numbers_are_compared_without_their_separators() -> None:
    assert numbers("1,290,000 won on 2024. and 3.5") == {"1290000", "2024", "3.5"}


def test_without_an_embedder_shared_terms_choose_the_quote() -> None:
    passages = [passage("a", "The office opens at nine. Payday is the 25th of each month.", "Office"), passage("b", "Cats sleep.", "Cats")]
    found = quote.candidates(passages)
    assert quote.choose("When is payday?", None, found, (), trust=1.0, limit=1)[0].text == "Payday is the 25th of each month."


def test_the_nearest_sentence_by_meaning_is_quoted_though_it_shares_no_word() -> None:
    found = quote.candidates([passage("a", "Money arrives on Fridays. Cats sleep a lot."), passage("b", "Dogs bark.")])
    asked, near, far = _vector(1, 0), _vector(0.9, 0.1), _vector(0, 1)
    chosen = quote.choose("wages", asked, found, [near if "Money" in one.text else far for one in found], trust=1.0, limit=1)
    assert chosen == [quote.Quote("Money arrives on Fridays.", 0)]


def test_a_fact_that_nobody_asked_for_stands_behind_a_sentence_of_the_same_row() -> None:
    found = quote.candidates([passage("a", "The lamp had aged.\ncustomer_id: 13", "Two analysers disagreed")])
    alike = [_vector(0.6, 0.1), _vector(0.7, 0.1)]
    assert quote.choose("Why did analysers disagree?", _vector(1, 0), found, alike, trust=1.0, limit=1)[0].text == "The lamp had aged."
    assert quote.choose("Which customer_id was it?", _vector(1, 0), found, alike, trust=1.0, limit=1)[0].text == "customer_id: 13"


def test_a_heading_that_only_repeats_the_question_is_no_answer() -> None:
    found = quote.candidates([passage("a", "Firing. The kiln reaches 940 degrees.")])
    shown = quote.choose("How hot is the firing?", None, found, (), trust=1.0)
    assert [one.text for one in shown] == ["The kiln reaches 940 degrees."]
    alone = quote.candidates([passage("a", "Firing.")])
    assert [one.text for one in quote.choose("How hot is the firing?", None, alone, (), trust=1.0)] == ["Firing."]


def test_the_same_sentence_is_quoted_once() -> None:
    found = quote.candidates([passage("a", "Payday is Friday."), passage("b", "Payday is Friday.")])
    assert len(quote.choose("payday", None, found, (), trust=1.0)) == 1


def _vector(*values: float) -> Vector:
    return array("f", values)


def evidence(*passages: Passage, question: str = "q") -> cite.Evidence:
    return cite.Evidence(tuple(passages), tuple(quote.candidates(passages)), (), 1.0, question)


@pytest.mark.parametrize("sentence", ["1. Leave is 15 days.", "  - Leave is 15 days. ", "* Leave is 15 days.", "12) Leave is 15 days."])
def test_the_mark_of_a_lists_item_is_no_claim(sentence: str) -> None:
    assert cite.plain(sentence) == "Leave is 15 days."


def test_a_number_that_begins_a_sentence_is_one() -> None:
    assert cite.plain("15 days of leave.") == "15 days of leave."


def test_a_sentence_is_cited_where_a_passage_holds_its_words_and_numbers() -> None:
    held = evidence(passage("a", "Cats sleep all day."), passage("b", "Annual leave is 15 days for every employee."))
    assert cite.support("Every employee has 15 days of annual leave.", None, held) == [1]


def test_a_wrong_number_is_supported_by_nothing() -> None:
    held = evidence(passage("b", "Annual leave is 15 days for every employee."))
    assert cite.support("Every employee has 25 days of annual leave.", None, held) == []


def test_a_citation_that_its_passage_does_not_support_is_replaced_by_the_right_one() -> None:
    assert cite.attribute(claims=[0], supporting=[2, 1]) == [2]
    assert cite.attribute(claims=[1, 0], supporting=[2, 1]) == [1]
    assert cite.attribute(claims=[0], supporting=[]) == []


def test_marks_of_the_model_are_read_and_taken_out() -> None:
    assert cite.claimed("Leave is 15 days [1][2, 3].") == ("Leave is 15 days.", [0, 1, 2])


@pytest.mark.parametrize(
    "sentence", ["Hello!", "I don't know which office that was.", "Would you like to know more about it?", "잘 모르겠습니다 그 내용은."]
)
def test_what_claims_nothing_needs_no_support(sentence: str) -> None:
    assert not cite.makes_claim(sentence)


def test_one_ranked_list_stays_as_it_is_and_several_are_merged_by_rank_and_weight() -> None:
    a, b, c = (passage(id, id, store=id) for id in "abc")
    assert merge([(1.0, [a, b])], 5) == [a, b]
    assert [one.id for one in merge([(1.0, [a, b]), (1.0, [b, c])], 2)] == ["b", "a"]
    assert [one.id for one in merge([(0.1, [a]), (1.0, [c])], 2)] == ["c", "a"]
