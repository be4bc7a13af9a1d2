from __future__ import annotations

import random

from ingest.book.source_rows import FailedBefore
from ingest.keeping import due
from ingest.keeping.due import Now
from ingest.keeping.failing import Failing
from ingest.keeping.kept import Kept, Key
from ingest.keeping.schedule import Past, Schedule
from ingest.keeping.settling import Settling

NOW = 1_000_000.0
HOURLY = Schedule(every=3600.0)


def kept(store: str, name: str, ago: float = 7200.0, *, schedule: Schedule | None = HOURLY, failed: int = 0, alive: bool = False) -> Kept:
    past = Past(NOW - ago, NOW - ago, NOW - ago, "failed" if failed else "ok", failed)
    return Kept(Key(store, name), "files", "/x", schedule, past, alive)


def begun(*sources: Kept, **how: object) -> list[str]:
    return [key.name for key in due.begin(sources, Now(NOW, **how))]  # type: ignore[arg-type]


def test_the_most_overdue_source_of_each_store_begins_first():
    assert begun(kept("a", "late", 9000), kept("a", "later", 9999), kept("b", "other", 8000)) == ["later", "other"]


def test_a_store_that_is_written_by_anybody_is_left_alone():
    assert begun(kept("a", "one"), kept("a", "two", alive=True, schedule=None)) == []
    assert begun(kept("a", "one"), running=[Key("a", "two")]) == []
    assert begun(kept("a", "one"), asked=[Key("a", "one")], running=[Key("a", "one")]) == []


def test_no_more_than_two_runs_go_at_once():
    assert begun(*(kept(store, store) for store in "abcd")) == ["a", "b"]
    assert begun(*(kept(store, store) for store in "abcd"), running=[Key("x", "x")]) == ["a"]
    assert begun(*(kept(store, store) for store in "abcd"), running=[Key("x", "x"), Key("y", "y")]) == []


def test_what_somebody_asks_for_goes_first_whatever_its_time_and_its_failures():
    waiting = kept("a", "waiting", 5, schedule=None, failed=9)
    assert begun(kept("a", "late", 9999), waiting, asked=[waiting.key]) == ["waiting"]


def test_what_rests_is_not_begun_by_itself():
    one = kept("a", "one")
    assert begun(one, resting=[one.key], changed=[one.key]) == []
    assert begun(one, resting=[one.key], asked=[one.key]) == ["one"]


def test_a_change_is_followed_at_once_but_not_where_the_last_run_has_just_failed():
    quiet, failing = kept("a", "quiet", 5), kept("b", "failing", 5, failed=3)
    assert begun(quiet, failing, changed=[quiet.key, failing.key]) == ["quiet"]
    assert begun(kept("b", "failing", 100, failed=9), changed=[failing.key]) == ["failing"]


def test_whatever_happens_no_store_gets_two_runs():
    chance = random.Random(5)
    for _ in range(300):
        sources = [kept(chance.choice("abc"), str(n), chance.uniform(0, 9000), failed=chance.choice((0, 0, 2))) for n in range(8)]
        keys = [one.key for one in sources]
        running, asked, changed, resting = (chance.sample(keys, chance.randint(0, most)) for most in (1, 4, 4, 4))
        found = due.begin(sources, Now(NOW, running, asked, changed, resting))
        stores = [key.store for key in (*running, *found)]
        assert len(set(stores)) == len(stores) <= due.AT_ONCE


def test_a_swarm_of_changes_is_taken_once_when_it_is_over():
    settling: Settling[str] = Settling(quiet=2.0, longest=60.0)
    for at in (0.0, 1.0, 2.0, 3.0):
        settling.note("a", at)
    assert settling.settled(4.0) == set()
    assert settling.next() == 5.0
    assert settling.settled(5.0) == {"a"}
    settling.take("a")
    assert (settling.settled(99.0), settling.next()) == (set(), None)


def test_a_folder_that_never_rests_is_read_all_the_same():
    settling: Settling[str] = Settling(quiet=2.0, longest=60.0)
    for at in range(100):
        settling.note("log", float(at))
    assert settling.settled(60.0) == {"log"}


def failed(item: str, version: str = "1", next_at: float | None = NOW + 100) -> FailedBefore:
    return FailedBefore(item, "broken", 2, NOW - 100, next_at, version)


def test_a_file_waits_only_while_it_and_all_its_failures_are_as_they_were():
    failing = Failing([failed("/a"), failed("/b"), failed("/b#3", next_at=NOW - 1), failed("/c", next_at=None)], False, NOW)
    assert failing.holds_back("/a", "1")
    assert not failing.holds_back("/a", "2"), "it has changed"
    assert not failing.holds_back("/b", "1"), "the time of one of its records has come"
    assert failing.holds_back("/c", "1"), "it is set aside"
    assert not failing.holds_back("/d", "1"), "it never failed"
    assert failing.untried == {"/a", "/c"}


def test_what_is_asked_for_does_not_wait():
    for retry in (True, {"/a"}, {"/a#1"}):
        assert not Failing([failed("/a#1"), failed("/a#2", next_at=None)], retry, NOW).holds_back("/a", "1")
    assert Failing([failed("/a#1")], {"/b"}, NOW).holds_back("/a", "1")


def test_the_failures_of_a_file_with_the_sign_in_its_name_are_its_own():
    failing = Failing([failed("/notes #1.csv#7")], False, NOW)
    assert failing.holds_back("/notes #1.csv", "1")
