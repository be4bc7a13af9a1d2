from __future__ import annotations

import math

import numpy as np
import pytest

from app.core.records import Chance, Piece
from models.engine.chances import Heard, chance


def name(token: int) -> bytes:
    return b"t%d" % token


def tokens(*texts: bytes) -> Heard:
    heard = Heard()
    for token, text in enumerate(texts):
        heard.hear(Chance(token, text, -1.0))
    return heard


def ids(found: Piece | Chance) -> list[int]:
    return [one.token for one in (found.chances if isinstance(found, Piece) else found.top)]


def test_the_chances_of_all_tokens_add_up_to_one() -> None:
    scores = np.random.default_rng(1).normal(0, 5, 500).astype(np.float32)
    found = chance(scores, 7, 500, name)
    assert sum(math.exp(one.logprob) for one in found.top) == pytest.approx(1, abs=1e-7)
    assert len(found.top) == 500


def test_the_best_tokens_come_first_and_equal_ones_in_the_vocabularys_order() -> None:
    found = chance(np.array([1, 3, 3, 2, -9], np.float32), 4, 3, name)
    assert ids(found) == [1, 2, 3]
    assert (found.token, found.data) == (4, b"t4")
    assert found.logprob == pytest.approx(-9 - math.log(math.e + 2 * math.e**3 + math.e**2 + math.e**-9))


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_there_are_as_many_alternatives_as_asked_for_or_as_there_are_words(count: int) -> None:
    assert len(chance(np.zeros(5, np.float32), 0, count, name).top) == min(count, 5)


def test_a_token_that_can_not_be_has_the_chance_zero_and_not_a_fault() -> None:
    assert chance(np.array([0, -np.inf], np.float32), 1, 2, name).logprob == -math.inf


def test_a_chance_goes_out_with_the_text_that_its_token_begins() -> None:
    heard = tokens(b"Once", b" upon", b" a")
    assert ids(heard.told(Piece("Once up"))) == [0, 1]
    assert ids(heard.told(Piece("on a"))) == [2]


def test_tokens_of_one_character_go_out_together() -> None:
    first, second = "한".encode()[:2], "한".encode()[2:]
    heard = tokens(first)
    assert heard.told(Piece()).chances == ()
    heard.hear(Chance(1, second, -1.0))
    assert ids(heard.told(Piece("한"))) == [0, 1]


def test_what_a_stop_string_held_back_stays_back() -> None:
    heard = tokens(b"yes", b"\nUs", b"er:")
    assert ids(heard.told(Piece("yes"))) == [0]
    assert ids(heard.told(Piece(finish_reason="stop"), stopped=True)) == []


def test_thoughts_and_their_tags_have_no_chances_in_the_answer() -> None:
    heard = tokens(b"<think>", b"Hm", b"</think>", b"\n\n", b"42", b"!")
    assert ids(heard.told(Piece("42!", reasoning="Hm"))) == [4, 5]


def test_half_a_character_at_the_end_is_told_too() -> None:
    heard = tokens(b"a", b"\xed\x95")
    assert ids(heard.told(Piece("a"))) == [0]
    assert ids(heard.told(Piece(finish_reason="length"))) == [1]


def test_bytes_that_are_no_characters_lose_no_chance() -> None:
    heard = tokens(b"a", b"\xff", b"b")
    assert ids(heard.told(Piece("a�b"))) == [0, 1, 2]
