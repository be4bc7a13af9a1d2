"""Chroma's own answers, as they are given in large stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shelf import home_in, question, shelf, some_texts, truth

from app.core.paths import Home
from ingest.index.service import IndexService

ASKED = ("휴가 규정 number 77", "scale price 12", "회의 room budget")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


@pytest.fixture
def service(home: Home) -> Iterator[IndexService]:
    """One to which every store is large."""
    made = IndexService(home, exact_up_to=0)
    yield made
    made.close()


def drain(service: IndexService) -> None:
    while not (state := service.state()) or state[0]["rebuilding"] or state[0]["pending"]:
        service.refresh()
        service.tick()


def test_chroma_finds_nearly_all_that_an_exact_scan_finds(home: Home, service: IndexService) -> None:
    with shelf(home) as books:
        books.put(some_texts(600))
    drain(service)
    for text in ASKED:
        exact = {round(score, 4) for _, score in truth(home, text, 10)}
        found = {round(score, 4) for _, score in service.query("things", question(text), 10, None)}
        # Its graph is approximate: equal texts stand at equal scores, and one place may be missed.
        assert len(exact & found) >= len(exact) - 1


def test_changes_that_chroma_has_not_taken_in_are_in_the_answer_all_the_same(home: Home, service: IndexService) -> None:
    with shelf(home) as books:
        books.put(some_texts(200))
        drain(service)
        books.put({"new": "저울 반품 보증 7"})
        (newest, score), *_ = service.query("things", question("저울 반품 보증 7"), 3, None)
        assert score == pytest.approx(1.0, abs=1e-5)
        books.delete(["new"])
        assert newest not in [pk for pk, _ in service.query("things", question("저울 반품 보증 7"), 3, None)]
