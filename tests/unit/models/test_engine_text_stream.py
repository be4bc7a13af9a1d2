from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.engine.text_stream import TextStream

words = st.text(alphabet="ab한\n😀", min_size=1, max_size=4)


def whole(data: bytes, stop: list[str]) -> str:
    stream = TextStream(stop)
    return stream.feed(data) + stream.finish()


def in_parts(data: bytes, cuts: list[int], stop: list[str]) -> tuple[str, list[str]]:
    stream, edges = TextStream(stop), sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [stream.feed(data[start:end]) for start, end in pairwise(edges)]
    pieces.append(stream.finish())
    return "".join(pieces), pieces


@given(st.text(alphabet="ab한\n😀", max_size=30), st.lists(words, max_size=3), st.lists(st.integers(0, 200)))
def test_where_the_bytes_are_cut_changes_nothing(text: str, stop: list[str], cuts: list[int]) -> None:
    data = text.encode()
    assert in_parts(data, cuts, stop)[0] == whole(data, stop) == in_parts(data, list(range(len(data))), stop)[0]


@given(st.binary(max_size=40), st.lists(st.integers(0, 200)))
def test_bytes_that_are_no_text_are_replaced_alike_wherever_they_are_cut(data: bytes, cuts: list[int]) -> None:
    assert in_parts(data, cuts, [])[0] == whole(data, [])


@given(st.text(alphabet="ab한\n😀", max_size=30), st.lists(words, min_size=1, max_size=3), st.lists(st.integers(0, 200)))
def test_a_stop_string_is_never_handed_out_and_nothing_before_it_is_lost(text: str, stop: list[str], cuts: list[int]) -> None:
    out, _ = in_parts(text.encode(), cuts, stop)
    assert not any(word in out for word in stop)
    assert text.startswith(out)
    found = any(word in text for word in stop)
    assert found or out == text
    assert not found or any(text[len(out) :].startswith(word) for word in stop)


def test_text_that_can_begin_no_stop_string_is_handed_out_at_once() -> None:
    stream = TextStream(["STOP"])
    assert [stream.feed(part) for part in (b"Hello", b" S", b"TO", b"RY", b"S", b"TOP more")] == ["Hello", " ", "", "STORY", "", ""]
    assert stream.stopped
    assert stream.feed(b"more") == stream.finish() == ""


def test_a_character_waits_for_its_last_byte_and_is_dropped_when_it_never_comes() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([byte])) for byte in "한".encode()] == ["", "", "한"]
    assert stream.feed("😀".encode()[:3]) == stream.finish() == ""


def test_what_was_held_back_is_handed_out_when_the_answer_ends_without_it() -> None:
    stream = TextStream(["\nUser:"])
    assert stream.feed(b"yes\nUse") == "yes"
    assert stream.finish() == "\nUse"


def test_an_empty_stop_string_stops_nothing() -> None:
    assert whole(b"text", [""]) == "text"
