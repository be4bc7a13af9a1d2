from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ingest.search.lexical import index_terms, query_match
from ingest.search.relevance import Term
from ingest.search.words import Words


def test_a_run_of_hangul_becomes_its_overlapping_pairs() -> None:
    assert index_terms("주택임대차").split() == ["주택", "택임", "임대", "대차"]


def test_a_lone_syllable_stays_itself() -> None:
    assert index_terms("Python은 3월").split() == ["Python", "은", "3", "월"]


def test_chinese_and_kana_become_pairs_too() -> None:
    assert index_terms("東京タワー").split() == ["東京", "京タ", "タワ", "ワー"]


def test_decomposed_hangul_is_cut_like_composed_hangul() -> None:
    assert index_terms(unicodedata.normalize("NFD", "한국은행")) == index_terms("한국은행")


def test_ligatures_and_full_width_letters_take_their_ordinary_spelling() -> None:
    assert index_terms("eﬃcient Ｏｎｄｏｌ") == "efficient Ondol"


@given(st.text())
def test_two_syllables_that_stand_together_in_a_text_are_found_in_its_terms(text: str) -> None:
    terms = index_terms(f"{text} 온돌").split()
    assert terms[-1] == "온돌"


@given(st.text(max_size=200))
def test_no_text_breaks_the_expression_made_of_it(text: str) -> None:
    words = Words()
    match = query_match([Term(word, stems, 1) for word, stems in words.of_question(text)])
    if match:
        words._memory.execute("SELECT rowid FROM chunk_text WHERE chunk_text MATCH ?", (match,)).fetchall()
    words.close()


@given(st.text("온돌방바닥 Ondol's heated-floor, x86_64 漢字カナ \"'*^():.!?\n", max_size=60))
def test_a_text_with_any_word_finds_itself(text: str) -> None:
    words = Words()
    terms = [Term(word, stems, 1) for word, stems in words.of_question(text)]
    words._memory.execute("INSERT INTO chunk_text (rowid, terms) VALUES (1, ?)", (index_terms(text),))
    match = query_match(terms)
    if match:
        found = words._memory.execute("SELECT rowid FROM chunk_text WHERE chunk_text MATCH ?", (match,)).fetchall()
        assert found == [(1,)]
    words.close()


def test_a_question_asks_each_english_stem_once() -> None:
    words = Words()
    assert words.of_question("Returned scales: return a scale") == [("returned", ("return",)), ("scales", ("scale",)), ("a", ("a",))]
    words.close()


def test_frequent_words_are_left_out_when_they_would_touch_too_many_rows() -> None:
    terms = [Term("the", ("the",), 90_000), Term("scale", ("scale",), 40), Term("order", ("order",), 9_000)]
    assert query_match(terms) == '"scale" OR "order"'


def test_the_rarest_word_is_asked_even_when_it_is_frequent() -> None:
    assert query_match([Term("the", ("the",), 90_000), Term("of", ("of",), 80_000)]) == '"of"'


def test_words_that_no_chunk_holds_ask_nothing() -> None:
    assert query_match([Term("xyz", ("xyz",), 0)]) == ""
