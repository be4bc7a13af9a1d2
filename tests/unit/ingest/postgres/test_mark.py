from __future__ import annotations

import random

import msgspec

from ingest.postgres.mark import Mark, reach, read_mark, same_keys, snapshot_bounds

ROUND = 1 << 32
BEFORE = Mark(xmin=1000, xmax=1010, era="e", form="f", rule="r", keys="3 a b", documents=3)


def later(**changes: object) -> Mark:
    return msgspec.structs.replace(BEFORE, **{"xmin": 1100, "xmax": 1105, **changes})  # type: ignore[arg-type]


def told(xmin32: int, now: Mark, distance: int) -> bool:
    """What the database computes of a row's 32 bits."""
    return (now.xmax - 1 - xmin32) & (ROUND - 1) <= distance


def test_the_line_is_the_oldest_transaction_that_was_running_then():
    distance = reach(BEFORE, later())
    assert distance == 1104 - 1000
    assert told(1000, later(), distance)
    assert told(1104, later(), distance)
    assert not told(999, later(), distance)


def test_over_the_edge_of_32_bits_no_row_is_lost():
    chance = random.Random(5)
    for _ in range(2000):
        xmin = chance.randrange(ROUND - 50, ROUND + 50) + chance.choice([0, 7 * ROUND])
        before = msgspec.structs.replace(BEFORE, xmin=xmin, xmax=xmin + chance.randrange(20))
        now = later(xmin=before.xmax + chance.randrange(100), xmax=before.xmax + 100 + chance.randrange(100))
        distance = reach(before, now)
        assert distance is not None
        written = chance.randrange(xmin - 60, now.xmax)
        if written >= before.xmin:
            assert told(written % ROUND, now, distance)
        else:
            assert not told(written % ROUND, now, distance)


def test_a_frozen_row_of_rounds_ago_is_hashed_needlessly_at_worst():
    assert told(1050, later(xmin=1100 + 5 * ROUND, xmax=1105 + 5 * ROUND), 104)


def test_every_row_is_hashed_where_the_ground_has_moved():
    assert reach(None, later()) is None
    assert reach(BEFORE, None) is None
    for changed in ({"era": "x"}, {"form": "x"}, {"rule": "x"}, {"xmin": 999}, {"xmin": 1001, "xmax": 1009}):
        assert reach(BEFORE, later(**changed)) is None, changed
    assert reach(BEFORE, later(xmin=1000, xmax=1010)) == 9


def test_more_than_a_round_of_transactions_later_every_row_is_hashed():
    assert reach(BEFORE, later(xmin=1000 + ROUND, xmax=1001 + ROUND)) is None
    assert reach(BEFORE, later(xmin=999 + ROUND, xmax=999 + ROUND)) == ROUND - 2


def test_keys_are_the_same_only_where_the_store_holds_as_much_as_then():
    assert same_keys(BEFORE, later(keys="3 a b"), 3)
    assert not same_keys(BEFORE, later(keys="3 a c"), 3)
    assert not same_keys(BEFORE, later(keys="3 a b"), 2)
    assert not same_keys(None, later(), 3)
    assert not same_keys(msgspec.structs.replace(BEFORE, keys=""), later(keys=""), 3)


def test_a_mark_that_cannot_be_read_is_none():
    assert read_mark(None) is None
    assert read_mark({"xmin": "old"}) is None
    assert read_mark(msgspec.to_builtins(BEFORE)) == BEFORE


def test_a_snapshot_is_read_as_postgresql_writes_it():
    assert snapshot_bounds("10:20:10,14") == (10, 20)
    assert snapshot_bounds("4294967300:4294967300:") == (4294967300, 4294967300)
