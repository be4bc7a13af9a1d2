"""What happens to a table is told by its slot: which changes come, when, and what is done where the slot can tell no more."""

from __future__ import annotations

import threading

import psycopg
import pytest
from follow_world import DROP_SLOT, Followed

from ingest.postgres.slot import Slot

# The embedded server has its turn in the random histories.
pytestmark = pytest.mark.parametrize("postgres_dsn", ["system"], indirect=True)


def test_changes_deletions_and_new_keys_follow_and_nothing_else_is_read(followed: Followed) -> None:
    assert followed.sync().added == 30
    followed.check()
    followed.world.embedder.texts.clear()
    followed.run(
        "INSERT INTO t VALUES (31, 'new'); UPDATE t SET a = 'changed' WHERE id = 2; UPDATE t SET id = 40 WHERE id = 3;"
        "DELETE FROM t WHERE id = 4"
    )
    report = followed.sync()
    assert (report.added, report.changed, report.deleted, report.unchanged) == (2, 1, 2, 0)
    assert len(followed.world.embedder.texts) == 3
    followed.check()
    report = followed.sync()
    assert (report.added, report.changed, report.deleted) == (0, 0, 0)


def test_what_was_rolled_back_is_not_read_and_what_was_saved_is(followed: Followed) -> None:
    followed.sync()
    with psycopg.connect(followed.dsn) as connection:
        connection.execute("UPDATE t SET a = 'first' WHERE id = 1")
        connection.execute("SAVEPOINT s")
        connection.execute("UPDATE t SET a = 'lost' WHERE id = 2")
        connection.execute("ROLLBACK TO s")
        connection.execute("SAVEPOINT s2")
        connection.execute("UPDATE t SET a = 'saved' WHERE id = 3")
        connection.execute("RELEASE s2")
    with psycopg.connect(followed.dsn) as connection:
        connection.execute("UPDATE t SET a = 'never'")
        connection.rollback()
    assert followed.sync().changed == 2
    followed.check()


def test_a_commit_that_comes_after_a_sync_is_in_the_next_one(followed: Followed) -> None:
    followed.sync()
    with psycopg.connect(followed.dsn) as late:
        late.execute("UPDATE t SET a = 'late' WHERE id = 1")
        followed.run("UPDATE t SET a = 'early' WHERE id = 2")
        assert followed.sync().changed == 1
        late.commit()
    assert followed.sync().changed == 1
    followed.check()


def test_a_truncated_table_is_compared_as_a_whole(followed: Followed) -> None:
    followed.sync()
    followed.run("TRUNCATE t; INSERT INTO t VALUES (1, 'again'), (99, 'new')")
    report = followed.sync(allow_delete=True)
    assert (report.added, report.changed, report.deleted) == (1, 1, 29)
    followed.check()
    followed.run("UPDATE t SET a = 'on it goes' WHERE id = 99")
    assert followed.sync().changed == 1
    followed.check()


def test_most_rows_gone_at_once_are_not_removed_without_a_word(followed: Followed) -> None:
    followed.sync()
    followed.run("DELETE FROM t WHERE id > 2")
    with pytest.raises(Exception, match="28 of 30 documents have vanished"):
        followed.sync()
    assert len(followed.book()) == 30
    assert followed.sync(allow_delete=True).deleted == 28
    followed.check()


def test_a_transaction_too_large_to_be_read_row_by_row_is_compared(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.sync()
    monkeypatch.setattr("ingest.postgres.follow.MOST_MESSAGES", 20)
    followed.run("UPDATE t SET a = a || '!'")
    assert followed.sync().changed == 30
    assert "more has changed" in followed.notices
    followed.check()


@pytest.mark.parametrize(
    "lost",
    [
        DROP_SLOT,
        "DO $$ DECLARE p name; BEGIN SELECT pubname INTO p FROM pg_publication; EXECUTE format('DROP PUBLICATION %I', p); END $$",
        "SELECT count(*) FROM pg_logical_slot_get_binary_changes((SELECT slot_name FROM pg_replication_slots WHERE database ="
        " current_database()), NULL, NULL, 'proto_version', '1', 'publication_names',"
        " (SELECT pubname FROM pg_publication))",
        "CREATE TABLE other AS TABLE t; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a text, b text);"
        "INSERT INTO t SELECT * FROM other",
    ],
    ids=["the slot is dropped", "the publication is dropped", "somebody else reads the slot", "the table is made anew"],
)
def test_a_slot_that_can_tell_no_more_is_made_anew_and_nothing_is_missed(followed: Followed, lost: str) -> None:
    followed.sync()
    followed.run("UPDATE t SET a = 'unseen' WHERE id = 1; DELETE FROM t WHERE id = 2")
    followed.run(lost)
    report = followed.sync()
    assert (report.changed, report.deleted) == (1, 1)
    assert "The whole table is compared" in followed.notices
    followed.check()
    followed.run("UPDATE t SET a = 'seen' WHERE id = 3")
    assert (followed.sync().changed, "compared" in followed.notices) == (1, False)
    assert followed.slots() == [followed.memory.name]
    followed.check()


def test_a_slot_for_which_too_much_wal_is_kept_is_made_anew(followed: Followed) -> None:
    followed.sync()
    followed.run("CREATE TABLE noise AS SELECT n, repeat('x', 500) AS a FROM generate_series(1, 3000) n; UPDATE t SET a = 'x' WHERE id = 1")
    followed.limit = 1_000_000
    assert followed.sync().changed == 1
    assert "of WAL for the slot" in followed.notices
    followed.check()


def test_changes_of_other_tables_move_the_slot_on(followed: Followed) -> None:
    followed.sync()
    followed.run("CREATE TABLE noise AS SELECT n FROM generate_series(1, 3000) n")
    followed.sync()
    ((behind,),) = followed.rows(
        "SELECT pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()"
    )
    assert behind < 10_000


def test_keys_of_every_kind_are_those_of_the_documents(followed: Followed) -> None:
    followed.run(
        "CREATE DOMAIN code AS text; CREATE TYPE mood AS ENUM ('calm', 'angry');"
        'CREATE TABLE "Odd ""keys" (c char(4), "b%:" boolean, d timestamptz, m mood, k code, a text, PRIMARY KEY (c, "b%:", d, m, k));'
        "INSERT INTO \"Odd \"\"keys\" VALUES ('x', true, '2026-01-02 03:04:05.6+09', 'calm', '키,/', 'one'),"
        "('yy', false, '2026-01-02', 'angry', 'k', 'two')"
    )
    odd = followed.beside('Odd "keys')
    assert odd.sync().added == 2
    before = set(odd.world.documents())
    odd.run("ALTER ROLE CURRENT_USER SET datestyle = 'German'")
    try:
        odd.run('UPDATE "Odd ""keys" SET a = \'changed\'; DELETE FROM "Odd ""keys" WHERE c = \'yy\'')
        report = odd.sync()
    finally:
        odd.run("ALTER ROLE CURRENT_USER RESET datestyle")
    assert (report.added, report.changed, report.deleted) == (0, 1, 1)
    assert len(before & odd.world.documents()) == 1


def test_a_partitioned_table_is_followed_under_its_own_name(followed: Followed) -> None:
    followed.run(
        "CREATE TABLE parts (id int PRIMARY KEY, a text) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE p2 PARTITION OF parts FOR VALUES FROM (10) TO (20); INSERT INTO parts VALUES (1, 'one'), (11, 'eleven')"
    )
    parts = followed.beside("parts")
    parts.sync()
    parts.run("UPDATE parts SET id = 12 WHERE id = 1; INSERT INTO p1 VALUES (2, 'two')")
    report = parts.sync()
    assert (report.added, report.deleted, "compared" in parts.notices) == (2, 1, False)
    parts.check()


def test_a_change_of_what_a_row_points_at_is_followed_too(followed: Followed) -> None:
    followed.run(
        "CREATE TABLE customer (id int PRIMARY KEY, name text); INSERT INTO customer VALUES (1, '김'), (2, 'Lee');"
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customer, a text);"
        "INSERT INTO orders VALUES (1, 1, 'x'), (2, 2, 'y')"
    )
    orders = followed.beside("orders")
    orders.sync()
    orders.run("UPDATE customer SET name = '박' WHERE id = 1")
    assert orders.sync().changed == 1
    assert "박" in orders.book()["1"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("CREATE TABLE bare (id int NOT NULL UNIQUE, a text)", 'ALTER TABLE "public"."bare" REPLICA IDENTITY FULL;'),
        ("CREATE UNLOGGED TABLE bare (id int PRIMARY KEY, a text)", "not kept in the WAL"),
    ],
)
def test_a_table_that_can_not_be_followed_is_compared_and_the_reason_is_told(followed: Followed, table: str, said: str) -> None:
    followed.run(table + "; INSERT INTO bare VALUES (1, 'one')")
    bare = followed.beside("bare")
    assert bare.sync().added == 1
    assert said in bare.notices
    assert bare.slots() == []
    bare.run("UPDATE bare SET a = 'two'; DELETE FROM bare WHERE id = 7")
    assert bare.sync().changed == 1


def test_a_table_whose_owner_tells_old_rows_whole_is_followed_by_any_key(followed: Followed) -> None:
    followed.run(
        "CREATE TABLE bare (id int NOT NULL UNIQUE, a text); ALTER TABLE bare REPLICA IDENTITY FULL; INSERT INTO bare VALUES (1, 'one')"
    )
    bare = followed.beside("bare")
    bare.sync()
    bare.run("UPDATE bare SET id = 2; INSERT INTO bare VALUES (3, 'three')")
    report = bare.sync()
    assert (report.added, report.deleted, "compared" in bare.notices) == (2, 1, False)
    bare.check()


def test_a_run_that_is_killed_between_its_commit_and_the_slot_reads_the_same_again(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.sync()
    followed.run("UPDATE t SET a = 'changed' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (31, 'new')")

    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    for place in ("advance", "wait_until_seen", "make"):
        with monkeypatch.context() as patched:
            patched.setattr(Slot, place, dies)
            if place == "make":
                followed.lose_slot()
            with pytest.raises(Killed):
                followed.sync()
        followed.world.check()
    followed.sync()
    followed.check()
    assert followed.slots() == [followed.memory.name]


def test_a_commit_that_the_log_tells_before_others_see_it_is_read_when_they_do(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.sync()
    monkeypatch.setattr("ingest.postgres.slot.SETTLE_SECONDS", 0.3)
    # A standby that never comes: the commit is in the WAL, and its transaction still counts as running.
    followed.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    followed.run("SELECT pg_reload_conf()")
    writing = threading.Thread(target=followed.run, args=("UPDATE t SET a = 'told early' WHERE id = 1",))
    try:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"
        writing.start()
        while followed.rows(waits) != [(1,)]:
            writing.join(0.05)
        assert followed.sync().changed == 0
        assert "waits, for a standby perhaps" in followed.notices
    finally:
        followed.run("ALTER SYSTEM RESET synchronous_standby_names")
        followed.run("SELECT pg_reload_conf()")
        writing.join(10)
    assert followed.sync().changed == 1
    followed.check()
