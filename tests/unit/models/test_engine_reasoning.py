from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.reasoning import Thoughts, opened

transcripts = st.lists(
    st.sampled_from(["<think>", "</think>", "<thinking>", "</thinking>", "<thi", "</", "<", "\n", "\n\n", " ", "a", "생각", "😀", "  - b"]),
    max_size=12,
).map("".join)


def split(text: str, cuts: list[int], tag: str = "") -> tuple[str, str]:
    thoughts, edges = Thoughts(tag), sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    parts = [thoughts.feed(text[start:end]) for start, end in pairwise(edges)]
    parts.append(thoughts.finish())
    return "".join(reasoning for reasoning, _ in parts), "".join(said for _, said in parts)


def whole(text: str, tag: str = "") -> tuple[str, str]:
    return split(text, [], tag)


@given(transcripts, st.lists(st.integers(0, 100)), st.sampled_from(["", "<think>", "<thinking>"]))
def test_where_a_transcript_is_cut_changes_nothing(text: str, cuts: list[int], tag: str) -> None:
    assert split(text, cuts, tag) == whole(text, tag) == split(text, list(range(len(text))), tag)


@given(transcripts, st.sampled_from(["", "<think>", "<thinking>"]))
def test_no_word_is_lost_said_twice_or_moved(text: str, tag: str) -> None:
    def words(value: str) -> str:
        return "".join(letter for letter in value if letter in "a생각😀-b")

    reasoning, said = whole(text, tag)
    assert words(reasoning) + words(said) == words(text)
    assert said in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nLet me see.\n</think>\n\nHello!", ("Let me see.", "Hello!")),
        ("\n<thinking>one\n\ntwo</thinking> Hello", ("one\n\ntwo", " Hello")),
        ("<think>\n\n</think>\n\nHello", ("", "Hello")),
        ("<think>a</think>\n\n  - first\n  - second", ("a", "  - first\n  - second")),
        ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
        ("<think>a </thinking> b</think>c", ("a </thinking> b", "c")),
    ],
)
def test_what_stands_between_the_tags_is_reasoning_and_the_rest_is_the_answer(text: str, expected: tuple[str, str]) -> None:
    assert whole(text) == expected


def test_a_text_that_speaks_of_the_tag_later_is_text() -> None:
    text = "The tag <think> opens a thought, </think> closes it."
    assert whole(text) == ("", text)
    assert whole("  indented <think>") == ("", "  indented <think>")


def test_thoughts_that_are_never_closed_are_thoughts_to_the_end() -> None:
    assert whole("<think>I wonder </thi") == ("I wonder </thi", "")
    assert whole("I wonder", "<think>") == ("I wonder", "")


def test_after_a_prompt_that_has_opened_the_tag_the_text_begins_within_it() -> None:
    assert whole("\nHm.\n</think>\n\n42", "<think>") == ("Hm.", "42")
    assert whole("</think>42", "<think>") == ("", "42")
    assert whole("<think>Hm.</think>42", "<think>") == ("Hm.", "42"), "some models open it again"
    assert whole("Hm.</thinking>42", "<thinking>") == ("Hm.", "42")


def test_an_answer_without_thoughts_is_handed_out_at_once() -> None:
    thoughts = Thoughts()
    assert [thoughts.feed(part) for part in ("He", "llo <", "think>")] == [("", "He"), ("", "llo <"), ("", "think>")]


def test_only_what_may_be_a_tag_waits_among_the_thoughts() -> None:
    thoughts = Thoughts("<think>")
    assert [thoughts.feed(part) for part in ("so", " it", " <", "b> is </", "think", ">", "\n", "yes")] == [
        ("so", ""),
        (" it", ""),
        ("", ""),
        (" <b> is", ""),
        ("", ""),
        ("", ""),
        ("", ""),
        ("", "yes"),
    ]


def test_a_prompt_that_ends_with_an_open_tag_is_noticed_and_one_that_closes_it_is_not() -> None:
    assert opened("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened("Assistant:<thinking>") == "<thinking>"
    assert opened("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opened("Why do you write <think> here?\nAssistant:") == ""
