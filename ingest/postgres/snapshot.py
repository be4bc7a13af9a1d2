"""One moment of a table: every question is answered from the same snapshot."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from ingest.postgres.ground import Ground
from ingest.postgres.mark import Mark
from ingest.postgres.plan import Plan
from ingest.postgres.statements import Statements

PORTION = 10_000

Scanned = tuple[tuple[str, ...], str | None]
"""A row's key (None in it where a view shows none), and its hash: "" where it says nothing, None where it was not computed."""


class Snapshot:
    """Made by `Database.snapshot`, alive until its transaction ends. It should be over in seconds: the database can't clean up."""

    def __init__(self, connection: Connection, plan: Plan, found: Ground) -> None:
        self._connection, self._statements, self._ground = connection, Statements(plan), found

    @property
    def mark(self) -> Mark | None:
        """Where it stands; None where rows' transactions tell nothing."""
        return self._ground.mark

    @property
    def why_not(self) -> str:
        """Why there is no mark."""
        return self._ground.why_not

    def keys_digest(self) -> str:
        """Stands for the set of all keys."""
        return " ".join(map(str, self._connection.execute(self._statements.digest()).one()))

    def doubled_key(self) -> tuple[str, ...] | None:
        """A key that more than one row has."""
        found = self._connection.execute(self._statements.doubled()).first()
        return None if found is None else tuple(found)

    def rows(self, reach: int | None) -> Iterator[list[Scanned]]:
        """Every row in portions. With a `reach` only rows that can have changed are hashed."""
        return self._scan(reach, recent_alone=False)

    def recent(self, reach: int) -> Iterator[list[Scanned]]:
        """The rows that can have changed."""
        return self._scan(reach, recent_alone=True)

    def _scan(self, reach: int | None, *, recent_alone: bool) -> Iterator[list[Scanned]]:
        xmax = self._ground.mark.xmax if self._ground.mark else 0
        query = self._statements.scan(reach, xmax, recent_alone=recent_alone)
        result = self._connection.execution_options(yield_per=PORTION).execute(query)
        for some in result.partitions():
            yield [(row[:-1], row[-1]) for row in some]
