"""The numbers of transactions go round after 4,294,967,296 of them: rows written before and after that edge are told apart rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from ingest_world import World
from postgres_history import Paths
from postgres_servers import Cluster, cluster_of

pytestmark = pytest.mark.slow

STEPS = (2_000_000_000, 4_000_000_000, 4_294_967_000)
"""A cluster may be at most half a round ahead of its oldest row: it is taken to the edge in steps, all rows frozen before each."""
SEGMENT = 1 << 20  # transactions in one file of pg_xact


def move(cluster: Cluster, next_transaction: int) -> None:
    """The stopped cluster's next transaction, in its third round."""
    cluster.start()
    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    cluster.run("vacuumdb", "-h", "127.0.0.1", "-p", cluster.port, "-U", "postgres", "--all", "--freeze")
    cluster.stop()
    cluster.run("pg_resetwal", "-D", cluster.data, "-e", 2, "-x", next_transaction)
    # What is known of the transactions before it stands in a file that is not there yet.
    file = cluster.data / "pg_xact" / f"{next_transaction // SEGMENT:04X}"
    if not file.exists():
        file.write_bytes(bytes(SEGMENT // 4))
        file.chmod(0o600)
        cluster.own(file)


@pytest.fixture
def at_the_edge(postgres_programs: Path) -> Iterator[Cluster]:
    if not (postgres_programs / "pg_resetwal").exists():
        pytest.skip(f"there is no pg_resetwal in {postgres_programs}")
    with cluster_of(postgres_programs) as cluster:
        for step in STEPS:
            move(cluster, step)
        cluster.start()
        yield cluster
        cluster.stop("immediate")


def test_rows_on_both_sides_of_the_edge_are_read_when_they_change_and_only_then(at_the_edge, tmp_path):
    dsn, world, paths = at_the_edge.dsn, World(tmp_path), Paths()

    def run(statement: str) -> int:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
            return int(connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])

    run("CREATE TABLE things (id int PRIMARY KEY, body text); INSERT INTO things SELECT n, 'old ' || n FROM generate_series(1, 50) n")
    with paths.watched(), psycopg.connect(dsn) as late:
        world.table(dsn, "things")
        edge = 3 << 32
        late.execute("UPDATE things SET body = 'written before the edge, committed behind it' WHERE id = 1")
        assert run("UPDATE things SET body = 'before' WHERE id = 2") < edge
        assert world.sync().changed == 1
        at = 0
        while at <= edge + 20:
            at = run("DO $$BEGIN FOR i IN 1..100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$")
        run("UPDATE things SET body = 'behind' WHERE id = 3")
        assert world.sync().changed == 1
        assert world.sync().unchanged == 50
        late.commit()
        assert world.sync().changed == 1
        run("DELETE FROM things WHERE id = 4; INSERT INTO things VALUES (51, 'new')")
        report = world.sync()
        assert (report.added, report.changed, report.deleted) == (1, 0, 1)
        run("VACUUM (FREEZE) things")
        assert world.sync().unchanged == 50
    assert paths.all == 1
    texts = dict(world.sql("SELECT d.title, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk"))
    assert "behind it" in texts["things #1"]
    assert "before" in texts["things #2"]
    assert "behind" in texts["things #3"]
    world.check()
