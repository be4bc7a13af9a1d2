from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from models.reading import IDS, MASK, TYPES, Reading, learned, samples


def words() -> Any:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "a": 1, "b": 2, "word": 3}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def reading(*, left: bool = False, prefix: str = "", most: int = 20) -> Reading:
    return Reading(words(), 9, left=left, most=most, names=(IDS, MASK, TYPES), prefix=prefix)


def test_shorter_texts_are_filled_up_at_either_side() -> None:
    for left, first in ((False, [1, 2, 9]), (True, [9, 1, 2])):
        made = reading(left=left).arrays([[1, 2], [3, 3, 3]])
        assert made[IDS].tolist() == [first, [3, 3, 3]]
        assert made[MASK].tolist() == [[int(id != 9) for id in first], [1, 1, 1]]
        assert made[TYPES].tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("length", "padded"), [(0, 0), (1, 8), (8, 8), (9, 16), (17, 20), (20, 20)])
def test_lengths_are_rounded_up_as_far_as_the_model_reads(length: int, padded: int) -> None:
    its = reading()
    assert its.padded(length, 8) == padded
    assert its.arrays([[1] * length], 8)[IDS].shape == (1, padded)


def test_a_long_text_is_cut_and_blanks_before_one_are_not_its_end() -> None:
    its = reading(prefix="b ")
    assert its.ids(["a", "word " * 500, " " * 10_000 + "a", "x" * 10_000 + " a"]) == [[2, 1], [2, *[3] * 19], [2, 1], [2, 0, 1]]


def theirs(most: int = 20, **changed: Any) -> dict[str, Any]:
    its = reading(most=most)
    made: dict[str, Any] = its.arrays(its.ids(samples(most)))
    return {name: changed.get(name, array) for name, array in made.items()}


def test_only_what_the_models_own_code_prepares_just_so_is_prepared_here() -> None:
    def found(said: dict[str, Any], most: int = 20) -> Reading | None:
        return learned(words(), 9, left=False, prefix="", most=most, theirs=said)

    assert found(theirs()) is not None
    assert found(theirs(input_ids=np.full_like(theirs()[IDS], 3))) is None
    assert found(theirs(attention_mask=np.ones_like(theirs()[MASK]))) is None
    assert found({**theirs(), "position_ids": theirs()[IDS]}) is None
    assert found({MASK: theirs()[MASK]}) is None
    # It cuts elsewhere than it says.
    assert found(theirs(most=12)) is None
