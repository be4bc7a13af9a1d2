from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from app.cli.bench.command import _counts
from app.cli.bench.measure import measure, summary
from app.cli.bench.plot import svg
from app.cli.bench.sides import Side, prompt
from app.core.errors import BadRequest

TURNS = [
    {"ondol": {"tokens_per_s": 100.0}, "peer": {"tokens_per_s": 50.0}},
    {"ondol": {"tokens_per_s": 30.0}, "peer": {"tokens_per_s": 10.0}},
    {"ondol": {"tokens_per_s": 80.0}, "peer": {"tokens_per_s": 80.0}},
]


def test_a_ratio_is_the_median_of_those_within_each_turn() -> None:
    found = summary(TURNS, "tokens_per_s")
    assert found["medians"] == {"ondol": 80.0, "peer": 50.0}
    assert found["ratios"] == {"ondol / peer": [2.0, 1.0, 3.0]}


def test_a_side_without_a_figure_is_left_out_of_it() -> None:
    turns = [{"ours": {"tokens_per_cpu_s": 5.0}, "far": {}}]
    assert summary(turns, "tokens_per_cpu_s") == {"medians": {"ours": 5.0}, "ratios": {}}


async def test_sides_take_turns_and_the_first_turn_only_warms_up() -> None:
    asked: list[tuple[str, int, int, int]] = []

    def side(name: str) -> Side:
        async def run(streams: int, tokens: int, turn: int) -> dict[str, float]:
            asked.append((name, streams, tokens, turn))
            return {"tokens": tokens, "tokens_per_s": 7.0}

        return Side(run)

    said = await measure({"a": side("a"), "b": side("b")}, [4], 32, 2, lambda line: None)
    assert asked == [("a", 4, 8, -1), ("b", 4, 8, -1), ("a", 4, 32, 0), ("b", 4, 32, 0), ("a", 4, 32, 1), ("b", 4, 32, 1)]
    assert [line["side"] for line in said if "side" in line] == ["a", "b", "a", "b"]
    why = {line["figure"]: line.get("why") for line in said if "figure" in line}
    assert why == {"tokens_per_s": None, "tokens_per_cpu_s": "tokens_per_cpu_s is not known of two servers."}


def test_no_two_streams_or_turns_share_the_beginning_of_a_prompt() -> None:
    beginnings = {prompt(stream, turn)[:10] for stream in range(16) for turn in range(5)}
    assert len(beginnings) == 16 * 5


def test_the_picture_has_a_bar_for_each_median_and_says_the_ratio() -> None:
    lines = [{"figure": figure, "streams": 8, **summary(TURNS, figure)} for figure in ("tokens_per_s", "tokens_per_cpu_s")]
    drawn = ET.fromstring(svg(lines, "한국어 <model> & more"))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"한국어 <model> & more", "80", "50", "2.00×", "8 streams"} <= set(texts)
    assert "tokens per second of processor time" not in texts, "no side has it"


def test_a_ratio_that_does_not_fit_into_its_bar_stands_above_it_in_its_colour() -> None:
    medians, ratios = {"ondol": 700.0, "low": 30.0}, {"ondol / low": [23.3]}
    drawn = ET.fromstring(svg([{"figure": "tokens_per_s", "streams": 16, "medians": medians, "ratios": ratios}], "title"))
    ratio = next(element for element in drawn.iter("{http://www.w3.org/2000/svg}text") if element.text == "23.30×")
    bar = list(drawn.iter("{http://www.w3.org/2000/svg}rect"))[-1]
    assert float(ratio.attrib["y"]) < float(bar.attrib["y"])
    assert ratio.attrib["fill"] == bar.attrib["fill"]


def test_streams_may_be_given_with_commas_or_spaces() -> None:
    assert _counts("1,8, 16") == (1, 8, 16)
    for wrong in ("", "0", "eight", "1,300"):
        with pytest.raises(BadRequest, match="1,8,16"):
            _counts(wrong)
