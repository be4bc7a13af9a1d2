"""`ondol bench ingest`: a table kept in an index, beside what else does that: first, unchanged, and with one row in a hundred changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.cli.bench import ingest_histories
from app.cli.bench.ingest_sides import Kept, Side, sides
from app.cli.bench.ingest_table import BenchTable, change_some, copy_rows, own_server
from app.cli.bench.measure import summary

PHASES = ("first", "unchanged", "changed")
FIGURES = ("seconds", "cpu_seconds")
CHANGED = 100
Told = Callable[[dict[str, Any]], None]


class Wanted(NamedTuple):
    """What to measure. `source`: a dump or an address; `model`: a sentence-transformers folder; `remember`: where precisions are kept."""

    source: str
    table: str
    key: str
    rows: int
    model: str
    remember: str
    tokens: int
    overlap: int
    repeat: int
    pythons: tuple[Path, ...]


def compare(wanted: Wanted, note: Callable[[str], None], told: Told) -> list[dict[str, Any]]:
    """Times of all sides in turn, then what each misses; returns what `told` was told."""
    said: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        said.append(line)
        told(line)

    with own_server() as dsn:
        if wanted.source:
            table = copy_rows(wanted.source, wanted.table, wanted.key, wanted.rows, dsn)
            with sides(_kept(wanted, dsn, table), wanted.pythons) as running:
                if len(running) == 1:
                    note("No other is here: name a Python that has LangChain or LlamaIndex with --peer-python.")
                _times(dsn, table, running, wanted.repeat, tell)
        note("Histories.")
        kept = Kept(dsn, ingest_histories.TABLE, "id", "", wanted.tokens, wanted.overlap, "")
        with sides(kept, wanted.pythons, watermarks=True) as running:
            tell({"versions": {side.name: side.versions for side in running if side.versions}})
            ingest_histories.measure(dsn, running, tell)
    return said


def _kept(wanted: Wanted, dsn: str, table: BenchTable) -> Kept:
    return Kept(dsn, table.name, table.key, wanted.model, wanted.tokens, wanted.overlap, wanted.remember)


def _times(dsn: str, table: BenchTable, running: Sequence[Side], repeat: int, tell: Told) -> None:
    turns: dict[str, list[dict[str, dict[str, float]]]] = {phase: [] for phase in PHASES}
    for turn in range(repeat):
        for phase in PHASES:
            if phase == "changed":
                change_some(dsn, table, CHANGED)
            results = {}
            # Each turn begins with another side: what warms up for the next one favours nobody.
            for side in [*running[turn % len(running) :], *running[: turn % len(running)]]:
                if phase == "first":
                    side.open()
                results[side.name] = {name: round(value, 3) for name, value in side.sync().items()}
                tell({"side": side.name, "phase": phase, **results[side.name]})
            turns[phase].append({side.name: results[side.name] for side in running})
    for phase in PHASES:
        for figure in FIGURES:
            tell({"phase": phase, "figure": figure, **speedups(turns[phase], figure)})


def speedups(turns: Sequence[dict[str, dict[str, float]]], figure: str) -> dict[str, Any]:
    """Each side's `medians`, and the `ratios` of every peer's time to ours: median, least and most of those within a turn."""
    ours, *peers = turns[0]
    found = {peer: summary([{peer: turn[peer], ours: turn[ours]} for turn in turns], figure) for peer in peers}
    medians = summary(turns, figure)["medians"]
    return {"medians": medians, "ratios": {pair: ratio for one in found.values() for pair, ratio in one["ratios"].items()}}
