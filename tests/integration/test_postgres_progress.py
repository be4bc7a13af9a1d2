"""How far a table's run is, as its events tell it: what they count is on the disk, and nothing is told as done that is not."""

from __future__ import annotations

import pytest
from follow_world import Followed
from ingest_world import World
from postgres_tables import run

from ingest.options import Options
from ingest.report import Committed, Compared, Event, Started

pytestmark = pytest.mark.parametrize("postgres_dsn", ["system"], indirect=True)


class Heard(list[Event]):
    """Events, and how many documents stood in the book when each `Committed` came."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.held: list[int] = []

    def append(self, event: Event) -> None:
        super().append(event)
        if isinstance(event, Committed):
            self.held.append(len(self._world.documents()))

    @property
    def items(self) -> list[int]:
        return [event.items for event in self if isinstance(event, Committed)]


def listen(world: World) -> Heard:
    world.events = heard = Heard(world)
    return heard


@pytest.fixture
def many(database: str) -> str:
    run(
        database,
        "CREATE TABLE things (id int PRIMARY KEY, body text); INSERT INTO things SELECT n, 'body ' || n FROM generate_series(1, 700) n",
    )
    return database


def test_a_row_counts_when_it_is_on_the_disk_and_not_when_it_was_read(world, many):
    heard = listen(world)
    world.table(many, "things", options=Options(batch_chunks=64))
    assert heard.items == heard.held
    assert len(set(heard.items)) > 10
    assert heard.items[-1] == 700
    assert [event.total for event in heard if isinstance(event, Started)] == [700]


def test_rows_that_are_as_they_were_count_at_once_and_the_others_one_batch_after_the_other(world, many):
    world.table(many, "things")
    run(many, "UPDATE things SET body = 'new' || id WHERE id <= 200; DELETE FROM things WHERE id > 690")
    heard = listen(world)
    world.sync(batch_chunks=64)
    at = next(number for number, event in enumerate(heard) if isinstance(event, Started))
    assert heard[at + 1] == Committed("shop", heard[at].source, 490, 490, 0, 0)
    assert heard.items == sorted(heard.items)
    assert {490, 554, 618, 682, 690} <= set(heard.items)
    assert heard.items[-1] == 690


def test_rows_that_are_compared_are_told_before_it_is_known_how_many_must_be_read(world, many):
    world.table(many, "things")
    run(many, "ALTER TABLE things ALTER COLUMN id TYPE bigint")
    heard = listen(world)
    world.sync()
    assert [type(event) for event in heard][:2] == [Compared, Started]
    assert heard[0].rows == 700


def test_of_rows_that_are_read_anew_those_that_are_the_same_count_though_nothing_is_written(world, many):
    world.table(many, "things")
    run(many, "UPDATE things SET body = 'new' WHERE id = 700")
    heard = listen(world)
    world.sync(reread=True, batch_chunks=64)
    assert len(set(heard.items)) > 10
    assert heard.items[-1] == 700


def test_of_a_followed_table_each_row_that_was_told_counts_once(followed: Followed):
    followed.sync()
    followed.run("UPDATE t SET a = 'changed ' || id WHERE id <= 10; DELETE FROM t WHERE id = 11")
    heard = listen(followed.world)
    followed.sync()
    assert [event.total for event in heard if isinstance(event, Started)] == [11]
    assert heard.items[-1] == 11
    assert heard.items == sorted(heard.items)
