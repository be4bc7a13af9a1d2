from __future__ import annotations

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from app.core.errors import BadRequest
from ingest.keeping import cron, schedule
from ingest.keeping.schedule import Past, Schedule, behind, make_schedule, may_try, next_run, next_try

NOON = datetime(2026, 3, 2, 12, 0).timestamp()  # noqa: DTZ001 - the machine's own noon
HOUR, DAY = 3600.0, 86_400.0
NIGHTLY = Schedule(cron="0 3 * * *")


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("15m", 900), ("2H", 7200), (" 1.5 d ", 129_600)])
def test_intervals_are_read_as_people_write_them(text, value):
    assert schedule.seconds(text) == value


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1s", "5 weeks", "1e3s", "999999d"])
def test_what_is_no_interval_is_refused_with_an_example(text):
    with pytest.raises(BadRequest, match=r"15m|From 10s"):
        schedule.seconds(text)


@pytest.mark.parametrize("line", ["tomorrow", "0 3 * *", "61 * * * *", "0 0 30 2 *", "0 0 31 4 *"])
def test_what_is_no_cron_line_or_never_comes_is_refused_with_an_example(line):
    with pytest.raises(BadRequest, match=r"three at night"):
        make_schedule(cron_line=line, now=NOON)


def test_a_schedule_is_an_interval_or_a_cron_line_and_only_folders_tell_of_changes():
    assert make_schedule() is None
    assert make_schedule("1h", on_change=True, now=5.0) == Schedule(every=HOUR, on_change=True, since=5.0)
    for how in ({"every": "1h", "cron_line": "0 3 * * *"}, {"cron_line": "0 3 * * *", "on_change": True}):
        with pytest.raises(BadRequest):
            make_schedule(**how, now=NOON)
    with pytest.raises(BadRequest, match="--every 1m"):
        make_schedule(on_change=True, kind="postgres")


def test_schedules_are_told_in_words():
    assert Schedule(every=5400.0).words == "every 90 minutes"
    assert Schedule(every=DAY, on_change=True).words == "on change and every 1 day"
    assert NIGHTLY.words == "at 0 3 * * * (cron)"


def test_without_a_schedule_nothing_ever_runs_by_itself():
    assert next_run(None, Past(), NOON) is None


def test_a_source_that_never_ran_is_due_at_once():
    assert next_run(Schedule(every=HOUR), Past(), NOON) == NOON


def test_an_interval_counts_from_start_to_start_and_a_long_run_gets_a_rest():
    assert next_run(Schedule(every=HOUR), Past(NOON, NOON + 60, NOON + 60, "ok"), NOON + 61) == NOON + HOUR
    long = Past(NOON, NOON + 2 * HOUR, NOON + 2 * HOUR, "ok")
    assert next_run(Schedule(every=HOUR), long, NOON + 2 * HOUR) == NOON + 2 * HOUR + schedule.REST_SECONDS


def test_a_night_that_the_machine_slept_through_is_made_up_for_once():
    last = NOON - 10 * DAY
    due = next_run(NIGHTLY, Past(last, last + 60, last + 60, "ok"), NOON)
    assert due is not None
    assert due < NOON
    tonight = next_run(NIGHTLY, Past(NOON, NOON + 60, NOON + 60, "ok"), NOON + 61)
    assert tonight == NOON + 15 * HOUR


def test_a_cron_line_chosen_at_noon_does_not_run_for_the_night_before():
    past = Past(NOON - 3 * DAY, NOON - 3 * DAY, NOON - 3 * DAY, "ok")
    assert next_run(Schedule(cron="0 3 * * *", since=NOON), past, NOON + 1) == NOON + 15 * HOUR


def test_failures_in_a_row_are_tried_again_later_and_later_up_to_an_hour():
    waits = []
    for failed in range(1, 50):
        due = next_run(NIGHTLY, Past(NOON, NOON + 5, None, "failed", failed), NOON + 6)
        assert due is not None
        waits.append(due - NOON - 5)
    assert waits[:4] == [60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == HOUR


def test_tries_of_sources_that_failed_together_are_spread():
    low, high = (schedule.back_off(3, chance) for chance in (0.0, 1.0))
    assert (low, high) == pytest.approx((192, 288))


def test_a_run_that_seems_to_lie_in_the_future_counts_as_long_ago():
    past = Past(NOON + DAY, NOON + DAY + 60, NOON + DAY + 60, "ok")
    for chosen in (Schedule(every=HOUR), NIGHTLY):
        assert next_run(chosen, past, NOON) == NOON


def test_however_the_clock_jumps_each_jump_costs_one_run_at_most():
    chance = random.Random(3)
    now = NOON
    for chosen in (Schedule(every=HOUR), NIGHTLY):
        past, runs, jumps, hours = Past(now, now, now, "ok"), 0, 0, 0.0
        for _ in range(3000):
            if chance.random() < 0.02:
                now += chance.uniform(-40 * DAY, 40 * DAY)
                jumps += 1
            now += 600
            hours += 1 / 6
            due = next_run(chosen, past, now)
            if due is not None and due <= now:
                past = Past(now, now, now, "ok")
                runs += 1
        regular = hours if chosen.every else hours / 24
        assert jumps > 20
        assert regular - jumps - 1 <= runs <= regular + jumps + 1


def test_lag_is_measured_against_the_schedule_and_not_the_clock_alone():
    good = Past(NOON, NOON, NOON, "ok")
    assert behind(Schedule(every=HOUR), good, NOON + 1800) == 0
    assert behind(Schedule(every=HOUR), good, NOON + 3 * HOUR) == 2 * HOUR
    assert behind(None, good, NOON + 900 * DAY) == 0
    failing = Past(NOON + 5 * HOUR, NOON + 5 * HOUR, NOON, "failed", 4)
    assert behind(Schedule(every=HOUR), failing, NOON + 6 * HOUR) == 5 * HOUR


def test_an_item_that_fails_is_tried_less_and_less_often_and_then_set_aside():
    waits = [next_try(attempts, 0.0, 0.5) for attempts in range(1, schedule.SET_ASIDE_AFTER + 1)]
    assert waits[:3] == [300, 600, 1200]
    assert waits[-1] is None
    assert None not in waits[:-1]


def test_an_item_waits_for_its_time_unless_the_clock_was_set_back():
    assert not may_try(last_at=100.0, next_at=400.0, now=200.0)
    assert may_try(last_at=100.0, next_at=400.0, now=400.0)
    assert may_try(last_at=100_000.0, next_at=100_300.0, now=200.0)
    assert not may_try(last_at=100.0, next_at=None, now=1e12)


def test_an_hour_that_comes_twice_counts_once_and_one_that_is_skipped_comes_at_its_end():
    new_york = ZoneInfo("America/New_York")
    first = datetime(2026, 11, 1, 1, 30, tzinfo=new_york, fold=0).timestamp()
    again = cron.next_after("30 1 * * *", first + 5, new_york)
    assert again is not None
    assert (again - first) / HOUR == 25
    before = datetime(2026, 3, 8, 1, 40, tzinfo=new_york).timestamp()
    skipped = cron.next_after("30 2 * * *", before, new_york)
    assert skipped == datetime(2026, 3, 8, 3, 30, tzinfo=new_york).timestamp()


def test_the_next_moment_of_a_cron_line_is_always_later_than_the_one_before_it():
    new_york = ZoneInfo("America/New_York")
    for start in (datetime(2026, 11, 1, 0, 0, tzinfo=new_york), datetime(2026, 3, 8, 0, 0, tzinfo=new_york)):
        at = start.timestamp()
        for _ in range(400):
            after = cron.next_after("*/10 * * * *", at, new_york)
            assert after is not None
            assert at < after <= at + 2 * HOUR
            at = after
