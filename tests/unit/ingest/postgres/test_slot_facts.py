from __future__ import annotations

import dataclasses

import pytest

from ingest.postgres.slot_facts import Facts, Identity, Memory, begin_again, new_memory, quoted, refusal, too_old, unlimited, warnings

T = ("public", "t")
GOOD = Facts(
    wal_level="logical",
    standby=False,
    now=9_000_000_000,
    wal_limit=10_000_000_000,
    may_replicate=True,
    may_publish=True,
    oid=7,
    kind="r",
    persistence="p",
    published=True,
    publication=True,
    slot=True,
    wal_status="reserved",
    safe_bytes=9_000_000_000,
    confirmed=8_999_000_000,
    kept_from=8_998_000_000,
    active=False,
    identities=(Identity(T, "d", ("id",)),),
)
MEMORY = Memory("ondol_t_1", "ondol_t", [T], lsn=8_999_000_000, oid=7, rule="r")


def refused(key: tuple[str, ...] = ("id",), **facts: object) -> str:
    error = refusal(dataclasses.replace(GOOD, **facts), MEMORY, user="reader", key=key)
    return str(error or "")


def test_a_table_that_may_be_followed_is_not_refused() -> None:
    assert refused() == ""
    assert refused(published=False, publication=False) == ""
    assert (
        refused(identities=(Identity(T, "f", ()), Identity(T, "i", ("id", "b")), Identity(("public", "parent"), "d", ("code",), own=False)))
        == ""
    )


def test_a_refusal_holds_every_statement_that_the_owner_must_run() -> None:
    said = refused(wal_level="replica", may_replicate=False, may_publish=False, published=False, publication=False)
    assert "ALTER SYSTEM SET wal_level = logical;" in said
    assert 'ALTER ROLE "reader" REPLICATION;' in said
    assert 'CREATE PUBLICATION "ondol_t" FOR TABLE "public"."t" WITH (publish_via_partition_root = true);' in said
    assert 'ALTER PUBLICATION "ondol_t" SET TABLE "public"."t";' in refused(may_publish=False, published=False)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"standby": True}, "the primary"),
        ({"kind": "v"}, "a view"),
        ({"persistence": "u"}, "not kept in the WAL"),
        ({"identities": (Identity(T, "n", ()),)}, 'ALTER TABLE "public"."t" REPLICA IDENTITY FULL;'),
        (
            {"identities": (Identity(T, "d", ("id",)), Identity(("public", "parent"), "d", (), own=False))},
            'TABLE "public"."parent" REPLICA IDENTITY FULL',
        ),
    ],
)
def test_what_can_never_be_followed_is_said(facts, said) -> None:
    assert said in refused(**facts)


def test_a_server_before_version_13_is_too_old() -> None:
    assert "this is 12" in str(too_old(120009))
    assert too_old(130000) is None


def test_a_key_of_ones_own_must_be_told_by_the_log() -> None:
    assert "REPLICA IDENTITY FULL" in refused(key=("code",))


def test_a_slot_that_is_as_it_was_left_is_read_on() -> None:
    assert begin_again(MEMORY, GOOD, 10**9) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"slot": False}, "gone"),
        ({"wal_status": "lost"}, "thrown away"),
        ({"published": False}, "publication"),
        ({"oid": 8}, "made anew"),
        ({"now": 8_000_000_000}, "older state"),
        ({"confirmed": 8_999_000_001}, "somebody else"),
        ({"kept_from": 1}, "more than 1.0 GB"),
    ],
)
def test_a_slot_that_may_not_tell_all_is_made_anew(facts, said) -> None:
    assert said in begin_again(MEMORY, dataclasses.replace(GOOD, **facts), 10**9)


def test_a_slot_that_was_never_made_is_made() -> None:
    assert begin_again(new_memory([T]), GOOD, 10**9) == "the slot is new"


def test_names_of_slots_are_of_letters_that_postgresql_takes_and_no_two_are_alike() -> None:
    one, other = new_memory([("public", '한국어 "Tickets"/2026')]), new_memory([("public", '한국어 "Tickets"/2026')])
    assert one.name != other.name
    assert one.publication == other.publication
    for name in (one.name, one.publication, new_memory([("s", "한국어")]).name):
        assert name.isascii()
        assert name.replace("_", "").isalnum()
        assert name == name.lower()
        assert len(name) < 64
    assert quoted(("a", 'b"c'), T) == '"a"."b""c", "public"."t"'


def test_the_owner_is_warned_before_wal_fills_the_disk() -> None:
    assert warnings(GOOD, "s", 10**9) == []
    (told,) = warnings(dataclasses.replace(GOOD, kept_from=8_400_000_000), "s", 10**9)
    assert "keeps 600.0 MB of WAL" in told
    assert unlimited(GOOD, "s") == []
    (told,) = unlimited(dataclasses.replace(GOOD, wal_limit=-1, safe_bytes=None), "s")
    assert "max_slot_wal_keep_size" in told
    (told,) = warnings(dataclasses.replace(GOOD, safe_bytes=1_000_000), "s", 10**9)
    assert "lost after 1.0 MB" in told
    assert "thrown away" in warnings(dataclasses.replace(GOOD, wal_status="lost"), "s", 10**9)[0]
