"""Sync now, over a real child process: a small program that speaks as `ondol ingest` does."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from model_client import wait_until

from app.core.paths import Home
from tray.records import Sync
from tray.watching.sync import Syncing, summary

PROGRAM = Path(__file__).with_name("ondol_program.py")
Start = Callable[..., Syncing]


def source(at: float, *, name: str = "shop", error: str = "", failures: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    return {
        "store": "company",
        "kind": "postgres",
        "name": name,
        "last_finished": at,
        "last_summary": {"error": error},
        "failures": [{"item": item, "reason": reason, "attempts": 1} for item, reason in failures],
    }


class Played:
    """A home, and what the small program is to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "온돌 home")
        self.home.root.mkdir()
        self.told: list[Sync] = []

    def script(self, command: str, *runs: list[dict[str, Any]]) -> None:
        (self.folder / f"{command}.json").write_text(json.dumps(runs))

    def status(self, *sources: dict[str, Any]) -> None:
        self.script("ingest-status", [*({"say": one} for one in sources), {"say": {"event": "disk", "book": 4096, "index": 0}}])

    def write_book(self, at: float) -> None:
        self.home.book.touch()
        os.utime(self.home.book, (at, at))

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line)["words"] for line in path.read_text().splitlines()] if path.exists() else []

    def synced(self) -> int:
        return sum(words[:2] == ["ingest", "sync"] for words in self.calls())

    def go(self, name: str) -> None:
        (self.folder / name).touch()

    @property
    def last(self) -> Sync:
        return self.told[-1] if self.told else Sync()


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


@pytest.fixture
def start(played: Played) -> Iterator[Start]:
    started: list[Syncing] = []

    def make(**times: float) -> Syncing:
        line = (sys.executable, str(PROGRAM), str(played.folder))
        chosen = {"first_look": 0.0, "look": 0.05, "between": 0.0, **times}
        syncing = Syncing(played.home, played.told.append, line=line, **chosen)
        started.append(syncing)
        return syncing

    yield make
    for one in started:
        one.close(0.5)


def test_a_sync_tells_its_progress_and_what_came_of_it(played: Played, start: Start) -> None:
    begun = {"event": "started", "store": "company", "source": "shop", "total": 10}
    done = {"event": "committed", "source": "shop", "items": 4}
    played.script("ingest-sync", [{"say": begun}, {"print": "a stray word"}, {"say": done}, {"until": "go"}])
    played.status(source(500.0))
    played.write_book(1.0)
    syncing = start()
    wait_until(lambda: played.last.sources == 1, "the first look is told")
    syncing.now()
    wait_until(lambda: (played.last.items, played.last.total) == (4, 10), "progress is told")
    assert played.last.running
    played.status(source(900.0))
    played.go("go")
    wait_until(lambda: not played.last.running, "the end is told")
    assert played.last == Sync(last=900.0, sources=1)


def test_a_book_of_a_newer_ondol_is_a_problem_that_is_shown(played: Played, start: Start) -> None:
    reason = "book.db was written by a newer Ondol. Update Ondol."
    played.script("ingest-status", [{"say": {"error": {"message": reason, "code": "newer_data"}}}, {"exit": 75}])
    played.write_book(1.0)
    start()
    wait_until(lambda: played.last.error == reason, "why is told")


def test_a_second_click_while_a_sync_runs_begins_no_second_one(played: Played, start: Start) -> None:
    played.script("ingest-sync", [{"until": "go"}])
    played.status()
    syncing = start()
    for _ in range(5):
        syncing.now()
    wait_until(lambda: played.synced() == 1, "it runs")
    syncing.now()
    played.go("go")
    wait_until(lambda: bool(played.told) and not played.last.running, "it ends")
    assert played.synced() == 1
    syncing.now()
    wait_until(lambda: played.synced() == 2, "a later click begins another")


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([{"say": {"error": {"message": "The disk is full.", "code": "disk_full"}}}, {"exit": 74}], "The disk is full."),
        ([{"exit": 70}], "ended with status 70"),
    ],
    ids=["it says why", "it just ends"],
)
def test_a_sync_that_stops_is_an_error_that_says_why(played: Played, start: Start, steps: list[dict[str, Any]], error: str) -> None:
    played.script("ingest-sync", steps)
    played.status(source(500.0))
    played.write_book(1.0)
    start().now()
    wait_until(lambda: bool(played.last.error) and not played.last.running, "the error is told")
    assert error in played.last.error
    assert played.last.last == 500.0


def test_an_item_that_could_not_be_read_is_told_with_its_reason(played: Played, start: Start) -> None:
    played.script("ingest-sync", [{"exit": 1}])
    played.status(source(500.0, failures=(("계약.pdf", "no text"), ("b.pdf", "no text"))))
    played.write_book(1.0)
    start().now()
    wait_until(lambda: played.last.sources == 1 and not played.last.running, "it ends")
    assert played.last.error == "계약.pdf: no text (and 1 more)"


def test_what_another_program_synced_is_seen_and_an_unchanged_book_is_not_read_again(played: Played, start: Start) -> None:
    played.status(source(500.0))
    played.write_book(1.0)
    start()
    wait_until(lambda: played.last.last == 500.0, "the first look is told")
    played.status(source(800.0), source(700.0, name="files"))
    played.write_book(2.0)
    wait_until(lambda: played.last == Sync(last=800.0, sources=2), "the other run is told")
    looks = len(played.calls())
    time.sleep(0.5)
    assert len(played.calls()) == looks


def test_without_a_book_nothing_is_asked_and_nothing_is_connected(played: Played, start: Start) -> None:
    start()
    time.sleep(0.5)
    assert played.calls() == []
    assert played.last == Sync()


def test_a_book_that_can_not_be_read_leaves_what_was_known(played: Played, start: Start) -> None:
    played.status(source(500.0))
    played.write_book(1.0)
    start()
    wait_until(lambda: played.last.last == 500.0, "the first look is told")
    played.script("ingest-status", [{"say": {"error": {"message": "It is damaged."}}}])
    played.write_book(2.0)
    wait_until(lambda: len(played.calls()) == 2, "it is read again")
    assert played.last == Sync(last=500.0, sources=1)


def test_a_program_that_can_not_be_started_is_an_error_and_the_next_click_tries_again(played: Played) -> None:
    syncing = Syncing(played.home, played.told.append, line=(str(played.folder / "nowhere"),), first_look=0.0)
    for _ in range(2):
        played.told.clear()
        syncing.now()
        wait_until(lambda: bool(played.told) and not played.last.running, "the error is told")
        assert played.last.error
    syncing.close()


def test_closing_ends_a_sync_that_listens_and_one_that_does_not_with_all_its_children(played: Played, start: Start) -> None:
    for steps in ([{"stay": True}], [{"spawn": "child"}, {"deaf": True}]):
        played.script("ingest-sync", steps)
        (played.folder / "calls.jsonl").unlink(missing_ok=True)
        syncing = start()
        syncing.now()
        wait_until(lambda: played.synced() == 1, "it runs")
        if steps[0] != {"stay": True}:
            wait_until((played.folder / "child").exists, "it has a child")
        running = psutil.Process(json.loads((played.folder / "calls.jsonl").read_text())["pid"])
        syncing.close(0.5)
        assert not running.is_running()
    child = int((played.folder / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, "the child has ended")


def test_the_last_end_of_all_sources_counts_and_one_that_never_ran_does_not() -> None:
    assert summary([]) == (None, "", 0)
    never = {"store": "a", "name": "b", "last_finished": None, "last_summary": None, "failures": []}
    assert summary([source(5.0), never, source(9.0)]) == (9.0, "", 3)
    assert summary([source(5.0, error="no answer"), source(9.0, name="files", error="gone")])[1] == "shop: no answer; files: gone"
