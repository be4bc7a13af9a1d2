from __future__ import annotations

import asyncio
import itertools
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from ingest_world import World, older_book

from app.core.errors import NotFound
from ingest.book.engine import HEAD
from ingest.book.writer import open_writer
from ingest.keeping.choosing import choose
from ingest.keeping.keeper import Keeper, Pace

PROGRAM = Path(__file__).with_name("keeping_program.py")
QUICK = Pace(look=0.05, quiet=0.3, longest=3.0)
DAY = 86_400.0


class Kept(World):
    """A world whose sources a keeper reads again; `play` is what its program does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        root.mkdir()
        self.play("ok")

    def play(self, what: str) -> None:
        (self.home.root / "play").write_text(what)

    def log(self, what: str = "begins") -> list[dict[str, Any]]:
        file = self.home.root / "log.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["what"] == what]

    def schedule(self, store: str, every: str = "", cron: str = "", *, on_change: bool = False) -> None:
        choose(self.home, store, None, every, cron, on_change=on_change, never=False)

    def age(self, seconds: float) -> None:
        """As if the last runs were so much longer ago."""
        with sqlite3.connect(self.home.book, timeout=30) as book:
            book.execute("UPDATE sources SET last_started = last_started - ?, last_finished = last_finished - ?", (seconds, seconds))
            book.execute("UPDATE sources SET last_good = last_good - ?", (seconds,))

    @asynccontextmanager
    async def keeper(self, pace: Pace = QUICK, **how: Any) -> AsyncIterator[Keeper]:
        keeper = Keeper(self.home, line=[sys.executable, str(PROGRAM)], pace=pace, **how)
        await keeper.start()
        try:
            yield keeper
        finally:
            await keeper.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "자료"
    folder.mkdir()
    (folder / "온돌.txt").write_text("따뜻한 바닥 위에서 고양이가 잔다.")
    return folder


@pytest.fixture
def world(tmp_path: Path, folder: Path) -> Kept:
    world = Kept(tmp_path / "home")
    world.files(folder)
    return world


async def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)


async def test_a_source_that_is_due_is_read_once_and_then_waits_for_its_time(world, folder):
    world.schedule("notes", "1h")
    (folder / "new.txt").write_text("Something new is told here.")
    world.age(2 * 3600)
    async with world.keeper():
        await until(lambda: world.log("ends"))
        await asyncio.sleep(0.5)
    assert len(world.log()) == 1
    (status,) = world.status()
    assert (status.documents, status.outcome, status.failed_runs, status.schedule) == (2, "ok", 0, "every 1 hour")
    assert status.behind == 0
    assert 3500 < status.next_at - time.time() <= 3600


async def test_a_server_that_starts_over_an_older_book_brings_it_up_to_date(tmp_path):
    world = Kept(tmp_path / "old")
    older_book(world.home)
    async with world.keeper():
        await until(lambda: world.sql("SELECT version_num FROM alembic_version") == [(HEAD,)])
    assert world.status()[0].next_at is None


async def test_without_a_schedule_nothing_runs_until_somebody_asks(world):
    world.age(30 * DAY)
    async with world.keeper() as keeper:
        await asyncio.sleep(0.4)
        assert world.log("begins") == []
        (key,) = await keeper.ask("notes")
        assert key.store == "notes"
        with pytest.raises(NotFound, match="no such source"):
            await keeper.ask("notes", "elsewhere")
        await until(lambda: world.log("ends"))


async def test_nights_that_were_slept_through_are_made_up_for_once(world):
    world.schedule("notes", cron="0 3 * * *")
    with sqlite3.connect(world.home.book) as book:
        book.execute("UPDATE sources SET schedule = json_set(schedule, '$.since', 0)")
    world.age(20 * DAY)
    async with world.keeper():
        await until(lambda: world.log("ends"))
        await asyncio.sleep(0.5)
    assert len(world.log()) == 1


async def test_a_clock_that_jumps_costs_one_run_a_jump(world):
    world.schedule("notes", "1h")
    shift = [0.0]
    async with world.keeper(clock=lambda: time.time() + shift[0]):
        for expected, jump in enumerate((10 * DAY, -20 * DAY), 1):
            shift[0] += jump
            # The runs themselves write the real time: what a machine writes whose clock was set right again meanwhile.
            await until(lambda expected=expected: len(world.log("ends")) >= expected)
            shift[0] = 0.0
            await asyncio.sleep(0.4)
            assert len(world.log()) == expected


async def test_what_changes_in_a_folder_is_in_within_seconds_and_a_single_file_too(world, folder):
    world.files(folder / "온돌.txt", store="one")
    for store in ("notes", "one"):
        world.schedule(store, on_change=True)
    async with world.keeper():
        await asyncio.sleep(1.0)
        (folder / "deep").mkdir()
        await asyncio.sleep(0.3)
        (folder / "deep" / "회의록.txt").write_text("The meeting is on Monday.")
        await until(lambda: len(world.sql("SELECT id FROM documents WHERE title LIKE '회의록%'")) == 1)
        other = folder / "온돌.new"
        other.write_text("바닥은 이제 차갑다.")
        other.replace(folder / "온돌.txt")
        await until(lambda: len(world.sql("SELECT pk FROM chunks WHERE text LIKE '바닥은 이제%'")) == 2)


async def test_a_run_that_comes_while_a_folder_is_in_motion_is_followed_by_another(world, folder):
    world.schedule("notes", "1h", on_change=True)
    async with world.keeper(QUICK._replace(quiet=2.0)) as keeper:
        await asyncio.sleep(1.0)
        (folder / "new.txt").write_text("Half of")
        await asyncio.sleep(0.9)
        await keeper.ask("notes")
        await until(lambda: len(world.log("ends")) == 2)


async def test_a_run_that_hangs_is_ended_with_all_that_it_started_and_counts_as_failed(world):
    world.schedule("notes", "1h")
    world.age(2 * 3600)
    world.play("hang")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    async with world.keeper(QUICK._replace(stuck=3.0)):
        await until(lambda: (world.status()[0].last_summary or {}).get("error"), 30)
        await until(lambda: not {child.pid for child in psutil.Process().children(recursive=True)} - before)
        (status,) = world.status()
    assert status.outcome == "failed"
    assert "no progress" in status.last_summary["error"]
    assert 40 < status.next_at - time.time() < 80
    assert len(world.log()) == 1


async def test_a_run_that_never_begins_counts_too_and_is_not_begun_again_and_again(world):
    world.schedule("notes", "1h")
    world.age(2 * 3600)
    world.play("die")
    async with world.keeper():
        await until(lambda: world.status()[0].failed_runs == 1)
        await asyncio.sleep(0.5)
        (status,) = world.status()
    assert (status.failed_runs, status.outcome) == (1, "failed")
    assert status.last_summary["error"] == "the program broke"
    assert status.documents == 1


async def test_a_store_has_one_run_at_a_time_and_the_others_go_beside_it(world, folder, tmp_path):
    for name in ("b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(f"The words of {name}.")
        world.files(tmp_path / name)
    world.files(folder, store="other")
    for store in ("notes", "other"):
        world.schedule(store, "1h")
    world.age(2 * 3600)
    world.play("slow")
    async with world.keeper():
        await until(lambda: len(world.log("ends")) == 4)
    spans = {entry["pid"]: [entry["at"], entry["store"]] for entry in world.log()}
    ends = {entry["pid"]: entry["at"] for entry in world.log("ends")}
    notes = sorted((at, ends[pid]) for pid, (at, store) in spans.items() if store == "notes")
    assert len(notes) == 3
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(notes))


async def test_a_store_that_another_program_writes_is_left_alone_and_nothing_failed(world, folder):
    world.schedule("notes", "1h")
    world.age(2 * 3600)
    world.play("slow")
    with open_writer(world.home, "notes") as writer:
        writer.source("files", folder.as_posix(), {"path": str(folder)})
        world.age(2 * 3600)
        async with world.keeper():
            await asyncio.sleep(0.6)
        assert world.log() == []
        assert world.status()[0].outcome == "running"


async def test_the_end_of_the_keeper_ends_its_runs(world):
    world.schedule("notes", "1h")
    world.age(2 * 3600)
    world.play("slow")
    async with world.keeper():
        await until(lambda: world.log())
        (pid,) = [entry["pid"] for entry in world.log()]
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_keeper_killed_at_any_moment_loses_no_source_and_never_runs_two_at_once(world, folder, tmp_path, rounds):
    chance = random.Random(rounds)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("The words of b.")
    world.files(tmp_path / "b")
    world.schedule("notes", "10s")
    world.play("slow")
    process = [sys.executable, str(PROGRAM.with_name("keeping_process.py")), str(world.home.root)]
    for round in range(rounds):
        (folder / f"n{round}.txt").write_text(f"Note {round} is told.")
        world.age(DAY)
        keeper = subprocess.Popen(process, cwd=PROGRAM.parents[2])
        time.sleep(chance.uniform(0.3, 2.5))
        keeper.kill()
        keeper.wait()
    # The runs of a keeper that was killed end by themselves: their standard input closes.
    limit = time.monotonic() + 20
    while any(psutil.pid_exists(entry["pid"]) for entry in world.log()):
        assert time.monotonic() < limit
        time.sleep(0.05)
    world.check()
    world.age(DAY)
    keeper = subprocess.Popen(process, cwd=PROGRAM.parents[2])
    try:
        while any(one.outcome != "ok" or one.failed_runs or time.time() - one.last_good > 3600 for one in world.status()):
            assert time.monotonic() < limit + 40
            time.sleep(0.1)
    finally:
        keeper.kill()
        keeper.wait()
    assert len(world.documents()) == rounds + 2
    ends = {entry["pid"]: entry["at"] for entry in world.log("ends")}
    begun = sorted((entry["at"], ends.get(entry["pid"], 0.0)) for entry in world.log())
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(begun))
