from __future__ import annotations

import xml.etree.ElementTree as ET

from app.cli.bench.ingest import speedups
from app.cli.bench.ingest_histories import HISTORIES, wrong
from app.cli.bench.ingest_report import page, svg

TURNS = [
    {"ondol": {"seconds": 2.0}, "LangChain": {"seconds": 8.0}, "LlamaIndex": {"seconds": 6.0}},
    {"ondol": {"seconds": 4.0}, "LangChain": {"seconds": 8.0}, "LlamaIndex": {"seconds": 4.0}},
    {"ondol": {"seconds": 3.0}, "LangChain": {"seconds": 9.0}, "LlamaIndex": {"seconds": 6.0}},
]
SAID = [
    {"side": "ondol", "phase": "first", "seconds": 2.0, "cpu_seconds": 2.0},
    {"phase": "first", "figure": "seconds", **speedups(TURNS, "seconds")},
    {"versions": {"ondol": {"ondol": "0.1.0", "torch": "2.9.1"}, "LangChain": {"langchain-core": "1.0.0"}}},
    {"history": "a row committed late", "missed": {"ondol": 0, "LangChain": 1}},
    {"history": "a key changed", "missed": {"ondol": 0, "LangChain": 2}},
]


def test_a_peer_is_as_many_times_slower_as_its_turns_beside_ours_say() -> None:
    found = speedups(TURNS, "seconds")
    assert found["medians"] == {"ondol": 3.0, "LangChain": 8.0, "LlamaIndex": 6.0}
    assert found["ratios"] == {"LangChain / ondol": [3.0, 2.0, 4.0], "LlamaIndex / ondol": [2.0, 1.0, 3.0]}


def test_a_row_is_wrong_that_is_missing_stale_doubled_or_no_longer_there() -> None:
    rows = {"1": "one", "2": "two", "3": "three", "4": "four"}
    held = [("1", "body: one"), ("2", "body: old"), ("4", "body: four"), ("4", "body: old"), ("9", "body: gone")]
    assert wrong(rows, held) == 4
    assert wrong({"1": "one"}, [("1", "body: one"), ("1", "one, second part")]) == 0


def test_the_tables_tell_seconds_with_ratios_the_versions_measured_and_the_rows_that_each_has_wrong() -> None:
    times, versions, histories = page(SAID).split("\n\n")
    assert "| first sync | 3.00 | 8.00 (3.0 times) | 6.00 (2.0 times) |" in times
    assert histories.splitlines()[-1] == "| **all** | **0** | **3** |"
    assert page(SAID[3:]) == histories
    assert versions.splitlines() == ["- ondol: ondol 0.1.0, torch 2.9.1", "- LangChain: langchain-core 1.0.0"]


def test_the_picture_is_whole_xml_with_a_bar_for_each_side() -> None:
    drawn = ET.fromstring(svg(SAID, "5 < 6 rows"))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 3


def test_there_are_ten_histories() -> None:
    assert len(HISTORIES) == 10
