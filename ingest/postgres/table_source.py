"""A PostgreSQL table as a source: its snapshot tells which rows came, changed and went, and only those are read."""

from __future__ import annotations

import msgspec

from app.core.errors import BadRequest
from ingest.documents import Failed, version_hashes
from ingest.postgres.database import FETCH, Database
from ingest.postgres.mark import Mark, reach, read_mark, same_keys
from ingest.postgres.plan import Plan
from ingest.postgres.row import row_key
from ingest.postgres.snapshot import Scanned, Snapshot
from ingest.postgres.spool import KeySpool
from ingest.run import Run
from ingest.source_state import SETTLED


def fill_from_table(run: Run, database: Database, plan: Plan) -> None:
    """Bring the store's documents in line with the table's rows. BadRequest: the key named does not tell rows apart."""
    with KeySpool() as spool:
        comparison = _Comparison(run, database.id_prefix(plan), plan, spool)
        with database.snapshot(plan, run.rule) as snapshot:
            mark = comparison.look(snapshot)
        run.start(run.counts.unchanged + spool.count, of_documents=True)
        run.passed(run.counts.unchanged)
        for keys in spool.portions(FETCH):
            left = len(keys)
            for document in database.documents(plan, keys):
                if document is None:
                    comparison.silent += 1
                else:
                    run.put(document)
                    left -= 1
            run.passed(left)  # they say nothing, or have gone
    run.flush()
    if comparison.silent:
        run.notice(f"{comparison.silent} rows say nothing beyond their key and were left out.")
    comparison.remove()
    if mark is not None and not run.failed:
        counts = run.counts
        mark = msgspec.structs.replace(mark, documents=run.documents + counts.added - counts.deleted)
        run.state[SETTLED] = msgspec.to_builtins(mark)


class _Comparison:
    """What the table says now beside what the store holds. Runs over every row: only what must be done for each stands in its loops."""

    def __init__(self, run: Run, prefix: str, plan: Plan, spool: KeySpool) -> None:
        self._run, self._prefix, self._plan, self._spool = run, prefix, plan, spool
        self._hash_of = version_hashes(plan.signature, run.rule)
        self._whole = True
        self._gone: list[str] = []
        self._compared = 0
        self.silent = 0

    def look(self, snapshot: Snapshot) -> Mark | None:
        """Fill the spool with the keys of rows to read, tell the run what is as it was; the mark that this leaves."""
        run, now = self._run, snapshot.mark
        before = None if run.reread else read_mark(run.settled)
        distance = reach(before, now)
        if self._plan.key not in self._plan.table.keys:
            self._refuse_doubles(snapshot)
        if now is not None:
            now = msgspec.structs.replace(now, keys=snapshot.keys_digest())
            if distance is not None and same_keys(before, now, run.documents):
                self._whole = False
                touched = sum(self._take(some) for some in snapshot.recent(distance))
                run.counts.unchanged += run.documents - touched
                return now
        for some in snapshot.rows(distance):
            self._take(some)
        return now

    def remove(self) -> None:
        """Take out what is no longer there. Conflict where that is too much at once."""
        if self._whole:
            self._run.remove_unseen()
        else:
            self._run.remove(self._gone)

    def _take(self, rows: list[Scanned]) -> int:
        """Compare some rows; how many of them the store holds."""
        run, plan = self._run, self._plan
        told: list[tuple[str, tuple[str, ...], str | None]] = []
        for key, row_hash in rows:
            if None in key:
                run.fail(_without_key(self._prefix, key, plan))
            else:
                told.append((self._prefix + row_key(key), key, row_hash))
        found = run.find([id for id, _, _ in told])
        kept: list[int] = []
        changed: list[tuple[str, ...]] = []
        for id, key, row_hash in told:
            held = found.get(id)
            if row_hash == "":
                self.silent += 1
                if held is not None:
                    self._gone.append(id)
            elif held is not None and not run.reread and (row_hash is None or held.content_hash == self._hash_of(row_hash)):
                kept.append(held.pk)
            elif not run.forgotten(id):
                changed.append(key)
        run.keep_found(kept)
        self._spool.add(changed)
        self._compared += len(rows)
        run.compared(self._compared)
        return len(found)

    def _refuse_doubles(self, snapshot: Snapshot) -> None:
        if (twice := snapshot.doubled_key()) is not None:
            key, table = ", ".join(self._plan.key), self._plan.table.full_name
            raise BadRequest(
                f"{key} does not tell the rows of {table} apart: {', '.join(twice)} occurs twice.",
                hint="Name more columns with --key.",
                param="key",
            )


def _without_key(prefix: str, key: tuple[str, ...], plan: Plan) -> Failed:
    shown = row_key([part or "" for part in key])
    return Failed(prefix + shown, f"A row of {plan.table.full_name} has no value in its key {', '.join(plan.key)}.")
