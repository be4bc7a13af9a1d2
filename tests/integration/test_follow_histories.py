"""A followed table through random histories, with kills between: the book equals the table at each end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from follow_program import MOMENTS
from follow_world import Followed

from ingest.postgres.slot import Slot
from ingest.run import Run

HERE = Path(__file__).parent


def killed(followed: Followed, moment: str) -> None:
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    program = [sys.executable, str(HERE / "follow_program.py"), str(followed.world.home.root), followed.dsn, moment]
    ended = subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=60)
    assert ended.returncode in (-9, 137), ended.stderr.decode()


@pytest.mark.parametrize(
    "moments", [["before the slot moves on"], pytest.param(list(MOMENTS), marks=pytest.mark.slow)], ids=["one moment", "every moment"]
)
def test_a_killed_sync_leaves_nothing_undone_and_nothing_twice(followed: Followed, moments: list[str]) -> None:
    followed.sync()
    for moment in moments:
        followed.run(
            "UPDATE t SET a = a || '.' WHERE id % 7 = 1; DELETE FROM t WHERE id = (SELECT max(id) FROM t); INSERT INTO t VALUES (-1, 'x')"
        )
        if moment == "when the slot is made":
            followed.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
        killed(followed, moment)
        followed.world.check()
        followed.sync()
        followed.check()
        assert followed.slots() == [followed.memory.name]
        followed.run("DELETE FROM t WHERE id = -1")


class Killed(BaseException):
    """What ends a sync in the midst of it."""


class History:
    """Some dozen steps: statements, transactions that stay open for a while, syncs, syncs that die, slots that are lost."""

    def __init__(self, followed: Followed, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.followed, self.chance, self.monkeypatch = followed, random.Random(seed), monkeypatch
        self.open: list[psycopg.Connection] = []
        monkeypatch.setattr("ingest.postgres.slot.MAKE_SECONDS", 1)  # a slot is not made while a transaction is open

    def play(self) -> None:
        self.sync()
        steps = [self.write, self.begin, self.end, self.sync, self.die, self.truncate, self.lose]
        for step in self.chance.choices(steps, [8, 3, 3, 5, 3, 0.4, 0.4], k=25):
            step()
        while self.open:
            self.end()
        self.sync()
        self.followed.check()
        assert self.followed.slots() == [self.followed.memory.name]

    def statement(self) -> str:
        id, other, word = self.chance.randint(1, 40), self.chance.randint(41, 80), self.chance.random()
        return self.chance.choice(
            [
                f"INSERT INTO t VALUES ({id}, 'new {word}') ON CONFLICT (id) DO UPDATE SET a = excluded.a",
                f"UPDATE t SET a = 'set {word}' WHERE id = {id}",
                f"UPDATE t SET a = NULL WHERE id = {id}",
                f"DELETE FROM t WHERE id = {id}",
                f"UPDATE t SET id = {other} WHERE id = {id} AND NOT EXISTS (SELECT FROM t WHERE id = {other})",
                f"UPDATE t SET id = {id} WHERE id = {other} AND NOT EXISTS (SELECT FROM t WHERE id = {id})",
                f"UPDATE t SET a = a || '!' WHERE id % {self.chance.randint(2, 9)} = 0",
            ]
        )

    def transaction(self) -> psycopg.Connection | None:
        """One that is still open; None where others' locks stood in its way."""
        connection = psycopg.connect(self.followed.dsn, options="-c lock_timeout=50")
        try:
            for _ in range(self.chance.randint(1, 4)):
                if self.chance.random() < 0.4:
                    connection.execute("SAVEPOINT s")
                    connection.execute(self.statement())
                    connection.execute(self.chance.choice(["ROLLBACK TO s", "RELEASE s"]))
                else:
                    connection.execute(self.statement())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation):
            connection.close()
            return None
        return connection

    def write(self) -> None:
        if (connection := self.transaction()) is not None:
            connection.commit()
            connection.close()

    def begin(self) -> None:
        if len(self.open) < 3 and (connection := self.transaction()) is not None:
            self.open.append(connection)

    def end(self) -> None:
        if self.open:
            connection = self.open.pop(self.chance.randrange(len(self.open)))
            connection.commit() if self.chance.random() < 0.7 else connection.rollback()
            connection.close()

    def sync(self) -> None:
        self.followed.sync(allow_delete=True)

    def die(self) -> None:
        with self.monkeypatch.context() as patched:
            patched.setattr(*die_at(self.chance))
            try:
                self.sync()
            except Killed:
                self.followed.world.check()

    def truncate(self) -> None:
        if not self.open:
            self.followed.run("TRUNCATE t")

    def lose(self) -> None:
        self.followed.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")


def die_at(chance: random.Random):
    owner, name = chance.choice([(Slot, "advance"), (Slot, "wait_until_seen"), (Run, "flush"), (Run, "remove"), (Run, "remember")])
    whole = getattr(owner, name)

    def dies(*args, **named):
        if chance.random() < 0.5:
            whole(*args, **named)
        raise Killed

    return owner, name, dies


@pytest.mark.parametrize("seed", range(3))
def test_after_a_random_history_the_book_equals_the_table(followed: Followed, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    History(followed, seed, monkeypatch).play()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 63))
def test_after_many_random_histories_the_book_equals_the_table(followed: Followed, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    History(followed, seed, monkeypatch).play()
