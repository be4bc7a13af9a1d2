from __future__ import annotations

import random
import time
from pathlib import Path

import psycopg
import pytest
from doomed import Doomed
from doomed_runs import table_in
from ingest_world import World


def killed_again_and_again(tmp_path: Path, dsn: str, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    home = tmp_path / "home"
    home.mkdir()
    world = World(home)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY, body text)")
        for number in range(rounds):
            # Rows come and go between the kills, the same ones again too.
            ids = chance.sample(range(120), 40)
            connection.execute("DELETE FROM things WHERE id = ANY(%s)", [ids[:15]])
            for id in ids[10:]:
                statement = "INSERT INTO things VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
                connection.execute(statement, [id, f"round {number if chance.random() < 0.7 else 0} of {id}"])
            run = Doomed(table_in, home, dsn)
            if chance.random() < 0.8:
                run.until_it_speaks()
                time.sleep(chance.uniform(0, 0.06))
                run.kill()
            run.ended()
            world.check()
        assert Doomed(table_in, home, dsn).ended() == 0
        told = {str(id): body for id, body in connection.execute("SELECT id, body FROM things")}
    world.check()
    held = world.sql("SELECT d.id, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk")
    assert {id.rsplit("/", 1)[1]: text.removeprefix("body: ").split("\n")[0] for id, text in held} == told


def test_a_sync_of_a_table_killed_at_any_moment_ends_as_the_table(tmp_path, database):
    killed_again_and_again(tmp_path, database, 5, seed=3)


@pytest.mark.slow
def test_a_sync_of_a_table_killed_a_hundred_times_ends_as_the_table(tmp_path, database):
    killed_again_and_again(tmp_path, database, 100, seed=4)
