"""After each sync the book is the table, whatever eight writers did: random histories, each with its seed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ingest_world import World
from postgres_history import Paths, live

ORDINARY = 3
PARTS, LONG = 4, 50


def _live(tmp_path: Path, database: str, count: int, first: int) -> Paths:
    world, paths = World(tmp_path), Paths()
    print(f"{count} histories from seed {first}")
    for seed in range(first, first + count):
        live(world, database, seed, paths)
    world.check()
    print(f"{paths.all} runs hashed all rows, {paths.some} compared keys, {paths.none} neither")
    return paths


def test_after_each_sync_the_book_is_the_table(tmp_path, database):
    paths = _live(tmp_path, database, ORDINARY, first=1)
    assert paths.some
    assert paths.none


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_after_each_sync_of_many_histories_the_book_is_the_table(tmp_path, database, part):
    _live(tmp_path, database, LONG, first=random.SystemRandom().randrange(1_000, 1_000_000))
