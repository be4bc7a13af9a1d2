"""A B A B: all sides in turn, again and again, and how each stands beside the others."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.cli.bench.sides import Side

ALONE = "No other server is here: put llama-server on PATH, or name one with --llama-server or --peer-python."
FIGURES = ("tokens_per_s", "tokens_per_cpu_s")
WARM_UP_TOKENS = 8
Told = Callable[[dict[str, Any]], None]


async def measure(sides: Mapping[str, Side], streams: Sequence[int], tokens: int, repeat: int, told: Told) -> list[dict[str, Any]]:
    """Each number of streams in `repeat` turns; `told` hears of every run, then of the ratios, or `why` there are none.

    Returns all that it was told.

    `tokens_per_cpu_s` are those per second of processor time of the side's own processes: fair also where others work beside it.
    """
    said: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        said.append(line)
        told(line)

    for count in streams:
        turns: list[dict[str, dict[str, float]]] = []
        for turn in range(-1, repeat):
            results: dict[str, dict[str, float]] = {}
            for name, side in sides.items():
                before = side.seconds_of_processor()
                result = await side.run(count, tokens if turn >= 0 else WARM_UP_TOKENS, turn)
                used = side.seconds_of_processor() - before
                results[name] = result | ({"tokens_per_cpu_s": round(result["tokens"] / used, 1)} if used else {})
                if turn >= 0:
                    tell({"side": name, "streams": count, **results[name]})
            if turn >= 0:
                turns.append(results)
        for figure in FIGURES:
            found = summary(turns, figure)
            why = ALONE if len(sides) == 1 else f"{figure} is not known of two servers."
            tell({"streams": count, "figure": figure, **found, **({} if found["ratios"] else {"why": why})})
    return said


def summary(turns: Sequence[Mapping[str, Mapping[str, float]]], figure: str) -> dict[str, dict[str, Any]]:
    """Of all turns: each side's `medians`, and the `ratios` of each to those after it: median, least and most of those within a turn.

    Two of a turn stand under the same load, so their ratio is worth more than that of two medians. A side without the figure is left out.
    """
    sides = [name for name in turns[0] if all(turn[name].get(figure) for turn in turns)] if turns else []
    medians = {name: statistics.median(turn[name][figure] for turn in turns) for name in sides}
    ratios: dict[str, list[float]] = {}
    for one, other in itertools.combinations(sides, 2):
        pairs = [turn[one][figure] / turn[other][figure] for turn in turns]
        ratios[f"{one} / {other}"] = [round(value, 3) for value in (statistics.median(pairs), min(pairs), max(pairs))]
    return {"medians": medians, "ratios": ratios}
