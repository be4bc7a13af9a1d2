"""The snapshot rule where it must step aside: what was restored, replaced, rewritten or hidden is looked at as a whole."""

from __future__ import annotations

import shutil
import subprocess

import psycopg
import pytest
from postgres_servers import READER_PASSWORD, cluster_of, dump_programs
from postgres_tables import THINGS, is_the_table, run
from psycopg.conninfo import make_conninfo

from ingest.postgres.asked import plan_of
from ingest.postgres.database import Database
from ingest.postgres.dsn import parse_dsn


def test_an_unchanged_table_sends_no_row_and_one_with_new_keys_no_hash(world, things, paths):
    world.table(things, "things")
    assert world.sync().unchanged == 30
    assert vars(paths) == {"all": 1, "some": 0, "none": 1}
    run(things, "UPDATE things SET body = 'new' WHERE id = 3; DELETE FROM things WHERE id = 4")
    report = world.sync()
    assert (report.changed, report.deleted, report.unchanged) == (1, 1, 28)
    assert vars(paths) == {"all": 1, "some": 1, "none": 1}
    assert is_the_table(world, things)


def test_a_dump_that_was_restored_is_read_as_it_is(world, things, paths):
    world.table(things, "things")
    run(things, "UPDATE things SET body = 'dumped' WHERE id = 1")
    with psycopg.connect(things) as connection:
        programs = dump_programs(connection.info.server_version // 10_000)
    dump, psql = (programs / name for name in ("pg_dump", "psql"))
    script = subprocess.run([dump, "--clean", things], check=True, capture_output=True, text=True).stdout
    run(things, "UPDATE things SET body = 'lost' WHERE id = 1; DELETE FROM things WHERE id = 2; INSERT INTO things VALUES (99, 'lost')")
    world.sync()
    subprocess.run([psql, "-q", things], input=script, check=True, capture_output=True, text=True)
    report = world.sync()
    assert (report.added, report.changed, report.deleted) == (1, 1, 1)
    assert paths.all == 2
    assert is_the_table(world, things)


@pytest.mark.slow
def test_a_cluster_that_came_back_from_an_older_copy_is_read_as_it_is(world, paths, postgres_programs):
    with cluster_of(postgres_programs) as cluster:
        cluster.start()
        run(cluster.dsn, THINGS)
        world.table(cluster.dsn, "things")
        cluster.stop()
        copy = cluster.folder / "copy"
        subprocess.run(["cp", "-a", cluster.data, copy], check=True)
        cluster.start()
        try:
            run(cluster.dsn, "UPDATE things SET body = 'lost' WHERE id < 5; DELETE FROM things WHERE id = 9")
            assert world.sync().changed == 4
            cluster.stop()
            shutil.rmtree(cluster.data)
            copy.rename(cluster.data)
            cluster.start()
            # As many transactions as were lost, so that no number tells.
            run(
                cluster.dsn,
                "CREATE TABLE other (a int); DROP TABLE other; UPDATE things SET team = 'x' WHERE id = 1",
            )
            assert world.sync().changed == 4
            assert is_the_table(world, cluster.dsn)
        finally:
            cluster.stop("immediate")


def test_a_partition_that_is_exchanged_brings_its_rows_however_old_they_are(world, database, paths):
    run(
        database,
        "CREATE TABLE things (id int, body text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE one PARTITION OF things FOR VALUES FROM (0) TO (100); CREATE TABLE two (LIKE one INCLUDING ALL);"
        "INSERT INTO things SELECT n, 'body ' || n FROM generate_series(1, 20) n; INSERT INTO two SELECT id, 'other ' || id FROM things",
    )
    world.table(database, "things")
    assert world.sync().unchanged == 20
    assert paths.none == 1
    run(database, "ALTER TABLE things DETACH PARTITION one; ALTER TABLE things ATTACH PARTITION two FOR VALUES FROM (0) TO (100)")
    assert world.sync().changed == 20
    assert is_the_table(world, database)


def test_rows_that_a_policy_shows_later_are_read_and_those_that_it_hides_go(world, things):
    run(
        things,
        "GRANT SELECT ON things TO reader; ALTER TABLE things ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY shown ON things FOR SELECT TO reader USING (team = 'even')",
    )
    world.table(make_conninfo(things, user="reader", password=READER_PASSWORD), "things")
    assert len(world.documents()) == 15
    run(things, "DROP POLICY shown ON things; CREATE POLICY shown ON things FOR SELECT TO reader USING (team = 'odd' OR id < 5)")
    report = world.sync()
    assert (report.added, report.deleted, report.unchanged) == (15, 13, 2)


def test_a_database_that_tells_nothing_of_itself_is_read_all_the_same(world, things, paths):
    run(
        things,
        "GRANT SELECT ON things TO reader; REVOKE EXECUTE ON FUNCTION pg_control_system, pg_control_checkpoint FROM public;"
        "REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM public",
    )
    world.table(make_conninfo(things, user="reader", password=READER_PASSWORD), "things")
    assert world.sync().unchanged == 30
    assert paths.none == 1
    run(things, "REVOKE EXECUTE ON FUNCTION pg_current_snapshot FROM public; UPDATE things SET body = 'x' WHERE id = 1")
    report = world.sync()
    assert (report.changed, report.unchanged, paths.all) == (1, 29, 2)


def test_of_an_old_server_every_row_is_hashed(things):
    with Database(parse_dsn(things)) as database:
        plan, _ = plan_of(database, {"table": "things"})
        with database.snapshot(plan, "") as snapshot:
            assert snapshot.mark is not None
        database._engine.dialect.server_version_info = (12, 9)  # type: ignore[attr-defined]
        with database.snapshot(plan, "") as snapshot:
            assert (snapshot.mark, snapshot.why_not) == (None, "the database is older than PostgreSQL 13")
            assert sum(len(some) for some in snapshot.rows(None)) == 30


def test_a_virtual_column_that_is_computed_otherwise_changes_its_rows(world, database):
    with psycopg.connect(database) as connection:
        if connection.info.server_version < 180000:
            pytest.skip("virtual columns come with PostgreSQL 18")
    run(
        database,
        "CREATE TABLE things (id int PRIMARY KEY, body text GENERATED ALWAYS AS ('a ' || id) VIRTUAL); INSERT INTO things VALUES (1)",
    )
    world.table(database, "things")
    run(database, "ALTER TABLE things ALTER COLUMN body SET EXPRESSION AS ('b ' || id)")
    assert world.sync().changed == 1
    assert is_the_table(world, database)


def test_another_choice_of_columns_reads_every_row_again(world, things):
    world.table(things, "things")
    assert world.table(things, "things", metadata=["team"]).changed == 30
    assert world.sync().unchanged == 30


def test_a_document_that_was_forgotten_stays_away_and_the_rest_is_kept(world, things):
    world.table(things, "things")
    gone = min(world.documents())
    world.forget("shop", document=gone)
    assert world.sync().unchanged == 29
    assert world.sync().unchanged == 29
    assert world.table(things, "things").added == 1


def test_the_plan_of_a_source_is_made_again_from_what_the_book_remembers(world, things):
    world.table(things, "things", text=["body"], title="{team} {id}", url="https://x/{id}", metadata=["team"])
    ((spec,),) = world.sql("SELECT spec FROM sources")
    import json

    with Database(parse_dsn(things)) as database:
        plan, _ = plan_of(database, json.loads(spec))
    assert (plan.text, plan.title, plan.url, plan.attributes) == (("body",), "{team} {id}", "https://x/{id}", ("team",))
