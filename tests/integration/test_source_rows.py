from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ingest_world import World, older_book

from ingest.book.source_rows import alive, this_process
from ingest.book.writer import Writer, open_writer
from ingest.documents import Failed
from ingest.keeping.schedule import SET_ASIDE_AFTER, Schedule


def begin(writer: Writer) -> int:
    return writer.source("files", "/a", {"path": "/a"}).id


def columns(world: World, names: str) -> tuple[object, ...]:
    (row,) = world.sql(f"SELECT {names} FROM sources")
    return row


def test_a_run_is_under_way_until_it_ends_and_failures_are_counted_in_a_row(world):
    with open_writer(world.home, "notes") as writer:
        seen = []
        for error in ("gone", "gone", "interrupted", ""):
            begin(writer)
            assert columns(world, "outcome") == ("running",)
            writer.finish(begin_id(world), {"error": error}, {})
            seen.append(columns(world, "outcome, failed_runs, last_good IS NULL"))
    assert seen == [("failed", 1, 1), ("failed", 2, 1), ("interrupted", 2, 1), ("ok", 0, 0)]


def begin_id(world: World) -> int:
    return int(columns(world, "id")[0])


def test_a_run_that_died_counts_as_a_failure_when_the_next_one_begins(world):
    with open_writer(world.home, "notes") as writer:
        begin(writer)
        begin(writer)
        begin(writer)
    assert columns(world, "outcome, failed_runs") == ("running", 2)


def test_a_schedule_is_kept_through_runs_and_taken_off_again(world):
    with open_writer(world.home, "notes") as writer:
        id = begin(writer)
        writer.schedule(id, Schedule(cron="0 3 * * *", since=5.0))
        begin(writer)
        assert columns(world, "schedule") == ('{"cron": "0 3 * * *", "since": 5.0}',)
        writer.schedule(id, None)
        assert columns(world, "schedule") == (None,)


def test_a_process_is_known_from_a_later_one_with_its_number():
    assert alive(this_process())
    assert not alive({**this_process(), "born": 1.0})
    assert not alive(None)
    ended = subprocess.run(
        [sys.executable, "-c", "import json; from ingest.book.source_rows import this_process; print(json.dumps(this_process()))"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert not alive(json.loads(ended.stdout))


def test_attempts_count_for_one_content_and_begin_anew_for_another(world):
    with open_writer(world.home, "notes") as writer:
        id = begin(writer)

        def fail(version: str) -> tuple[int, bool]:
            writer.record_failures(id, [Failed("/a/x.txt", "broken")], complete=True, versions={"/a/x.txt": version})
            found = writer.failed_before(id)["/a/x.txt"]
            return found.attempts, found.next_at is None

        assert [fail("1"), fail("1"), fail("2"), fail("2")] == [(1, False), (2, False), (1, False), (2, False)]
        attempts = [fail("2") for _ in range(SET_ASIDE_AFTER - 2)]
        assert attempts[-2:] == [(SET_ASIDE_AFTER - 1, False), (SET_ASIDE_AFTER, True)]


def test_what_was_held_back_stays_a_failure_of_a_run_that_is_complete(world):
    with open_writer(world.home, "notes") as writer:
        id = begin(writer)
        writer.record_failures(id, [Failed("a", "broken"), Failed("b", "broken"), Failed("c", "broken")], complete=True)
        writer.record_failures(id, [Failed("b", "still")], complete=True, untried={"c"})
        assert [(one.item, one.reason, one.attempts) for one in writer.failed_before(id).values()] == [
            ("b", "still", 2),
            ("c", "broken", 1),
        ]
        writer.record_failures(id, [], complete=False)
        assert list(writer.failed_before(id)) == ["b", "c"]


def test_an_older_book_is_brought_up_with_its_sources_unscheduled(world):
    older_book(world.home)
    with open_writer(world.home, "old", create=False) as writer:
        assert columns(world, "schedule, outcome, failed_runs, last_good") == (None, "", 0, None)
        before = writer.failed_before(1)["/a/x"]
        assert (before.attempts, before.next_at, before.version) == (3, 0.0, "")
