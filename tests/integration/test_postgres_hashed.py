"""Where rows' transactions tell nothing every row is hashed: what changes there is found all the same, and the dry run says why."""

from __future__ import annotations

import pytest
from ingest_world import World
from postgres_tables import as_reader, is_the_table, run
from psycopg.conninfo import conninfo_to_dict

from ingest.postgres.asked import Asked
from ingest.sync import preview_postgres

# They are parts of this server; the others have theirs in the random histories.
pytestmark = pytest.mark.parametrize("postgres_dsn", ["system"], indirect=True)


@pytest.fixture
def far(things: str) -> str:
    """A foreign server that is the database itself: what stands in `things` can be had through it."""
    parts = conninfo_to_dict(things)
    place = ", ".join(f"{name} '{parts[name]}'" for name in ("host", "port", "dbname"))
    run(
        things,
        f"CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({place});"
        "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres', password_required 'false')",
    )
    return things


def why(world: World, dsn: str, table: str, *key: str) -> str:
    ((found,), _) = preview_postgres(world.home, dsn, Asked(tables=(table,), key=key), "shop")
    return found.changes


def test_a_foreign_table_is_read_and_what_changes_far_away_is_found(world, far, paths):
    run(far, "CREATE FOREIGN TABLE seen (id int NOT NULL, body text) SERVER far OPTIONS (table_name 'things')")
    assert "since it is a foreign table" in why(world, far, "seen", "id")
    assert world.table(far, "seen", key=["id"]).added == 30
    run(far, "UPDATE things SET body = 'new' WHERE id = 1; DELETE FROM things WHERE id = 2; INSERT INTO things VALUES (31, 'one more')")
    report = world.sync()
    assert (report.added, report.changed, report.deleted, report.unchanged) == (1, 1, 1, 28)
    assert paths.all == 2
    assert is_the_table(world, far)


def test_a_foreign_table_whose_server_is_away_says_so_and_keeps_its_documents(world, far):
    run(far, "CREATE FOREIGN TABLE seen (id int NOT NULL, body text) SERVER far OPTIONS (table_name 'things')")
    world.table(far, "seen", key=["id"])
    run(far, "ALTER SERVER far OPTIONS (SET port '1')")
    report = world.sync()
    assert report.error.startswith("public.seen lies on another server, which 127.0.0.1:")
    assert 'can\'t reach: could not connect to server "far". Try again' in report.error
    assert len(world.documents()) == 30


def test_a_materialized_view_changes_when_it_is_refreshed_and_not_before(world, things, paths):
    run(things, "CREATE MATERIALIZED VIEW seen AS SELECT id, body FROM things; CREATE UNIQUE INDEX ON seen (id)")
    assert "since it is a materialized view" in why(world, things, "seen", "id")
    world.table(things, "seen", key=["id"])
    run(things, "UPDATE things SET body = 'new' WHERE id < 4; DELETE FROM things WHERE id = 30")
    assert world.sync().unchanged == 30
    run(things, "REFRESH MATERIALIZED VIEW seen")
    report = world.sync()
    assert (report.changed, report.deleted, report.unchanged) == (3, 1, 26)
    run(things, "UPDATE things SET body = 'newer' WHERE id = 1; REFRESH MATERIALIZED VIEW CONCURRENTLY seen")
    assert world.sync().changed == 1
    assert paths.all == 4
    assert is_the_table(world, things)


def test_a_partition_that_lies_elsewhere_has_its_changes_found_with_those_of_the_others(world, far, paths):
    run(
        far,
        "CREATE TABLE parted (id int NOT NULL, body text) PARTITION BY RANGE (id); ALTER TABLE things DROP team;"
        "CREATE TABLE here PARTITION OF parted FOR VALUES FROM (100) TO (200); INSERT INTO here VALUES (100, 'here'), (101, 'here too');"
        "CREATE FOREIGN TABLE there PARTITION OF parted FOR VALUES FROM (0) TO (100) SERVER far OPTIONS (table_name 'things')",
    )
    assert "since a part of it is not stored as a plain table" in why(world, far, "parted", "id")
    assert world.table(far, "parted", key=["id"]).added == 32
    run(far, "UPDATE things SET body = 'new' WHERE id = 1; DELETE FROM things WHERE id = 2; UPDATE here SET body = 'new' WHERE id = 100")
    report = world.sync()
    assert (report.changed, report.deleted, report.unchanged) == (2, 1, 29)
    assert paths.all == 2
    assert is_the_table(world, far, "parted")


def test_a_partition_with_a_storage_of_its_own_is_not_believed_by_its_transactions(world, database, paths):
    run(
        database,
        "CREATE ACCESS METHOD packed TYPE TABLE HANDLER heap_tableam_handler;"
        "CREATE TABLE things (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF things FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF things FOR VALUES FROM (10) TO (20) USING packed;"
        "INSERT INTO things SELECT n, 'body ' || n FROM generate_series(1, 15) n",
    )
    assert "since a part of it is not stored as a plain table" in why(world, database, "things")
    world.table(database, "things")
    run(database, "UPDATE things SET body = 'new' WHERE id = 11")
    assert world.sync().changed == 1
    assert paths.all == 2
    run(database, "DROP TABLE high")
    assert world.sync().deleted == 6
    run(database, "UPDATE things SET body = 'newer' WHERE id = 1")
    assert world.sync().changed == 1
    assert (paths.all, paths.none) == (3, 1)


def test_parents_that_a_policy_hides_or_shows_change_the_rows_that_point_at_them(world, database, paths):
    run(
        database,
        "CREATE TABLE owners (id int PRIMARY KEY, name text, open boolean);"
        "INSERT INTO owners VALUES (1, 'Kim', true), (2, 'Lee', false);"
        "CREATE TABLE things (id int PRIMARY KEY, body text, owner_id int REFERENCES owners);"
        "INSERT INTO things VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', NULL);"
        "ALTER TABLE owners ENABLE ROW LEVEL SECURITY; CREATE POLICY shown ON owners FOR SELECT TO reader USING (open);"
        "GRANT SELECT ON owners, things TO reader",
    )
    reader = as_reader(database)
    assert "since not every row of the tables that it points at may be seen" in why(world, reader, "things")
    world.table(reader, "things")

    def owners() -> dict[str, str]:
        told = world.sql("SELECT d.id, json_extract(d.attributes, '$.owner') FROM documents d ORDER BY d.id")
        return {id.rpartition("/")[2]: name for id, name in told if name is not None}

    assert owners() == {"1": "Kim"}
    run(database, "DROP POLICY shown ON owners; CREATE POLICY shown ON owners FOR SELECT TO reader USING (NOT open)")
    report = world.sync()
    assert (report.changed, report.unchanged) == (2, 1)
    assert owners() == {"2": "Lee"}
    assert paths.all == 2


def test_rows_by_a_key_that_nothing_keeps_unique_are_all_hashed(world, things, paths):
    run(things, "CREATE TABLE loose AS SELECT id, body FROM things")
    assert "since its key is not one that the database keeps unique" in why(world, things, "loose", "id")
    world.table(things, "loose", key=["id"])
    run(things, "UPDATE loose SET body = 'new' WHERE id = 1")
    assert world.sync().changed == 1
    assert paths.all == 2
    assert is_the_table(world, things, "loose")
