"""A followed source from its first ingest to its end: its rights, its slot as its owner sees it, and what is given back."""

from __future__ import annotations

import re

import pytest
from follow_world import Followed
from postgres_servers import READER_PASSWORD
from psycopg.conninfo import make_conninfo

from app.cli.ingest_preview import paragraph
from app.core.errors import OndolError
from ingest.postgres.asked import Asked
from ingest.postgres.slots import drop_slot, release, slot_state
from ingest.sync import preview_postgres

# The embedded server has its turn in the random histories.
pytestmark = pytest.mark.parametrize("postgres_dsn", ["system"], indirect=True)


def test_a_source_that_is_followed_is_synced_by_its_slot_and_forgotten_with_it(followed: Followed) -> None:
    world = followed.world
    assert world.table(followed.dsn, "t", text=["a"], follow=True).added == 30
    (name,) = followed.slots()
    followed.run("UPDATE t SET a = 'changed' WHERE id = 1; DELETE FROM t WHERE id = 2")
    report = world.sync()
    assert (report.changed, report.deleted, report.unchanged) == (1, 1, 0)
    assert followed.memory.name == name
    world.forget("shop")
    assert followed.slots() == []
    assert followed.rows("SELECT count(*) FROM pg_publication") == [(0,)]


def test_a_source_named_again_without_following_gives_its_slot_back(followed: Followed) -> None:
    followed.world.table(followed.dsn, "t", text=["a"], follow=True)
    assert followed.world.table(followed.dsn, "t", text=["a"]).unchanged == 30
    assert followed.slots() == []
    assert "no longer followed" in followed.notices


def test_who_may_not_follow_is_told_the_statements_before_anything_is_written(followed: Followed) -> None:
    followed.run("GRANT SELECT ON t TO reader")
    reader = make_conninfo(followed.dsn, user="reader", password=READER_PASSWORD)
    with pytest.raises(OndolError) as refused:
        followed.world.table(reader, "t", follow=True)
    assert 'ALTER ROLE "reader" REPLICATION;' in str(refused.value)
    assert not followed.world.home.book.exists()
    must = re.search(r"CREATE PUBLICATION .*;", str(refused.value))
    assert must is not None
    followed.run(must[0] + " ALTER ROLE reader REPLICATION")
    try:
        followed.world.table(reader, "t", text=["a"], follow=True)
        followed.run("UPDATE t SET a = 'changed' WHERE id = 1")
        report = followed.world.sync()
        assert (report.changed, report.unchanged) == (1, 0)
        followed.run("ALTER ROLE reader NOREPLICATION; UPDATE t SET a = 'without the right' WHERE id = 1")
        report = followed.world.sync()
        assert (report.changed, report.unchanged, report.error) == (1, 29, "")
        assert 'ALTER ROLE "reader" REPLICATION;' in followed.notices
        followed.run("ALTER ROLE reader REPLICATION; UPDATE t SET a = 'with it again' WHERE id = 1")
        assert followed.world.sync().changed == 1
        assert followed.slots() == [followed.memory.name]
        followed.world.forget("shop")
        assert followed.slots() == []
    finally:
        followed.run("ALTER ROLE reader NOREPLICATION")


def test_a_view_and_a_query_are_not_followed(followed: Followed) -> None:
    followed.run("CREATE VIEW v AS SELECT * FROM t")
    with pytest.raises(OndolError, match="a view"):
        followed.world.table(followed.dsn, "v", key=["id"], follow=True)


def test_a_dry_run_says_that_changes_are_found_by_a_slot_and_makes_none(followed: Followed) -> None:
    ((found,), _) = preview_postgres(followed.world.home, followed.dsn, Asked(tables=("t",), follow=True), "shop")
    assert found.changes.startswith("by a slot: ")
    assert found.unfollowed == ""
    assert followed.slots() == []
    assert followed.rows("SELECT count(*) FROM pg_publication") == [(0,)]
    assert not followed.world.home.book.exists()


def test_a_dry_run_names_each_table_that_can_not_be_followed_with_what_its_owner_must_run(followed: Followed) -> None:
    followed.run("CREATE TABLE blind (id int NOT NULL UNIQUE, a text); CREATE VIEW v AS SELECT * FROM t")
    asked = Asked(tables=("t", "blind", "v"), key=("v=id",), follow=True)
    found, _ = preview_postgres(followed.world.home, followed.dsn, asked, "shop")
    shown = {one.source.rpartition(".")[2]: paragraph(one) for one in found}
    assert "--follow" not in shown["t"]
    assert "--follow    is refused" in shown["blind"]
    assert 'ALTER TABLE "public"."blind" REPLICA IDENTITY FULL;' in shown["blind"]
    assert "changes     are found by their transactions" in shown["blind"]
    assert '"public"."v" is a view: its changes can\'t be followed.' in shown["v"]
    ((of_query,), _) = preview_postgres(
        followed.world.home, followed.dsn, Asked(query="SELECT * FROM t", name="asked", key=("id",), follow=True), "shop"
    )
    assert of_query.unfollowed.startswith('"asked" is no table of the database')


def test_the_slots_state_is_told_and_a_database_that_is_away_is_a_word_in_it(followed: Followed) -> None:
    followed.world.table(followed.dsn, "t", text=["a"], follow=True)
    spec, state = followed.source()
    followed.run("UPDATE t SET a = repeat('x', 5000)")
    told = slot_state(followed.world.home, spec, state, 10**9)
    assert told is not None
    assert (told.name, told.wal_status, told.error) == (followed.memory.name, "reserved", "")
    assert told.behind_bytes > 1000
    assert told.kept_bytes >= told.behind_bytes
    assert "max_slot_wal_keep_size" in " ".join(told.warnings)
    followed.lose_slot()
    missing = slot_state(followed.world.home, spec, state, 10**9)
    assert missing is not None
    assert missing.wal_status == "missing"
    away = slot_state(followed.world.home, followed.away(), state, 10**9)
    assert away is not None
    assert "Nothing answers" in away.error
    assert slot_state(followed.world.home, spec, {}, 10**9) is None


def test_a_slot_that_is_dropped_by_command_stays_dropped_and_the_source_in_step(followed: Followed) -> None:
    world = followed.world
    world.table(followed.dsn, "t", text=["a"], follow=True)
    (name,) = followed.slots()
    ((source,),) = world.sql("SELECT name FROM sources")
    assert drop_slot(world.home, "shop", source) == name
    followed.run("UPDATE t SET a = 'changed' WHERE id = 1")
    report = world.sync()
    assert (report.changed, report.unchanged) == (1, 29)
    assert followed.slots() == []
    with pytest.raises(OndolError, match="not followed"):
        drop_slot(world.home, "shop", source)


def test_a_source_whose_database_is_away_is_forgotten_and_what_is_left_to_do_is_told(followed: Followed) -> None:
    world = followed.world
    world.table(followed.dsn, "t", text=["a"], follow=True)
    _, state = followed.source()
    said = release(world.home, followed.away(), state)
    assert f"SELECT pg_drop_replication_slot('{followed.memory.name}');" in said
