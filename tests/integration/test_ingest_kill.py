from __future__ import annotations

import random
import time

import pytest
from doomed import Doomed
from doomed_runs import folder_in
from ingest_world import World


def texts(world: World) -> list[tuple[str, ...]]:
    return world.sql("SELECT d.id, d.title, c.ordinal, c.text FROM chunks c JOIN documents d ON d.pk = c.document_pk ORDER BY 1, 3")


@pytest.mark.parametrize("kills", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing(tmp_path, kills):
    folder = tmp_path / "notes"
    folder.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    chance = random.Random(11)
    acknowledged = 0
    for round in range(kills):
        # Between the kills the world goes on: files change, go and come.
        for number in range(40):
            fate = chance.random()
            file = folder / f"n{number}.txt"
            if fate < 0.4:
                file.write_text(
                    "\n\n".join(f"Note {number} of round {round}, part {part}: " + "words " * chance.randint(5, 200) for part in range(3))
                )
            elif fate < 0.5:
                file.unlink(missing_ok=True)
        run = Doomed(folder_in, home, folder)
        run.until_it_speaks()
        time.sleep(chance.uniform(0, 0.15))
        run.kill()
        world = World(home)
        world.check()
        acknowledged = max((int(line.split()[1]) for line in run.said if line.startswith("committed")), default=0)
        assert len(world.documents()) >= acknowledged
    assert acknowledged > 0
    assert Doomed(folder_in, home, folder).ended() == 0
    fresh = World(tmp_path / "fresh")
    fresh.home.root.mkdir()
    fresh.files(folder)
    world.check()
    assert texts(world) == texts(fresh)
    vectors = "SELECT text_hash, vector FROM vectors ORDER BY 1"
    assert world.sql(vectors) == fresh.sql(vectors)
