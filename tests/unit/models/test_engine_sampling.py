from __future__ import annotations

import pytest

from app.core.errors import BadRequest
from app.core.records import Sampling
from models.engine import sampling


def names(**values: float) -> list[str]:
    return [link.name for link in sampling.chain(Sampling(**values), answer_limit=100, seed=1)]  # type: ignore[arg-type]


def test_temperature_zero_is_greedy_and_keeps_its_penalties() -> None:
    assert names(temperature=0) == ["greedy"]
    assert names(temperature=0, repeat_penalty=1.1, presence_penalty=0.5) == ["penalties", "penalties", "greedy"]


def test_top_k_comes_before_top_p_and_links_that_change_nothing_are_left_out() -> None:
    assert names() == ["top_k", "top_p", "temp", "dist"]
    assert names(top_k=0, top_p=1.0) == ["temp", "dist"]
    assert names(min_p=0.1) == ["top_k", "top_p", "min_p", "temp", "dist"]


def test_the_repeat_penalty_has_a_window_and_the_other_two_see_the_whole_answer() -> None:
    links = sampling.chain(Sampling(repeat_penalty=1.2, frequency_penalty=0.3, presence_penalty=0.4), answer_limit=777, seed=1)
    assert links[0].arguments == (sampling.REPEAT_WINDOW, 1.2, 0.0, 0.0)
    assert links[1].arguments == (777, 1.0, 0.3, 0.4)


def test_a_seed_is_kept_in_32_bits_and_never_becomes_the_one_that_means_any() -> None:
    assert sampling.seed(Sampling(seed=42)) == 42
    assert sampling.seed(Sampling(seed=0xFFFFFFFF)) != 0xFFFFFFFF
    assert 0 <= sampling.seed(Sampling(seed=-1)) < 0xFFFFFFFF
    assert len({sampling.seed(Sampling()) for _ in range(8)}) > 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -0.1), ("temperature", float("nan")), ("top_p", 1.1), ("min_p", 2), ("repeat_penalty", 0), ("presence_penalty", 3)],
)
def test_a_value_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(BadRequest) as refused:
        sampling.check(Sampling(**{name: value}))  # type: ignore[arg-type]
    assert refused.value.param == name
