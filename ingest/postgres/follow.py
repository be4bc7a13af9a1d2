"""A table that is followed: a logical slot tells which rows changed, and those alone are read again.

    not to be read on (new, lost, somebody else's, too far behind) -> make the slot anew, compare the whole table
    else peek at what changed -> read those rows by key -> the book's commit -> move the slot on

The whole table is compared by the snapshot rule, which is also what happens where no slot can be had. Peeking twice tells the
same, and a row that is as the book has it stays: so it doesn't matter where a run is killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import Deadline, OndolError
from ingest.documents import version_hash
from ingest.postgres.database import Database
from ingest.postgres.dsn import Dsn
from ingest.postgres.mark import read_mark
from ingest.postgres.pgoutput import Changes
from ingest.postgres.plan import Plan
from ingest.postgres.row import row_key
from ingest.postgres.slot import UNREADABLE, Slot
from ingest.postgres.slot_facts import REFUSED, Facts, Memory, Table, begin_again, new_memory, refusal, unlimited, warnings
from ingest.postgres.table_source import fill_from_table
from ingest.run import Run
from ingest.source_state import SETTLED

SLOT = "slot"
"""Where a source's state keeps its `Memory`."""
MOST_MESSAGES = 200_000
"""Changes that are read one by one; with more of them it is quicker to compare the whole table."""


def remembered(state: Mapping[str, Any]) -> Memory | None:
    """What a source's state says of its slot."""
    return msgspec.convert(state[SLOT], Memory) if state.get(SLOT) else None


def check(dsn: Dsn, plan: Plan) -> None:
    """UpstreamError where the table can't be followed: it says which statements the database's owner must run."""
    memory = new_memory(_tables(plan))
    with Slot(dsn, memory) as slot:
        _allowed(slot.facts(), dsn, plan, memory)


def fill(run: Run, database: Database, plan: Plan, *, follow: bool, limit: int) -> None:
    """Bring the store's documents in line with the table's rows, by its slot where it is followed; else an old slot goes."""
    if follow:
        fill_from_slot(run, database, plan, limit)
    else:
        _fill_unfollowed(run, database, plan)
    # For whoever compares a row with the store later: how documents were made of rows.
    run.state["rule"] = run.rule


def _fill_unfollowed(run: Run, database: Database, plan: Plan) -> None:
    if (memory := remembered(run.state)) is not None:
        try:
            let_go(database.dsn, memory)
            run.remember(**{SLOT: None})
            run.notice("The table is no longer followed: its slot is dropped.")
        except OndolError as error:
            run.notice(f"The table is no longer followed, but its slot {memory.name} could not be dropped yet. {error}")
    fill_from_table(run, database, plan)


def fill_from_slot(run: Run, database: Database, plan: Plan, limit: int) -> None:
    """Bring the store's documents in line with the rows of a table that is followed. `limit`: bytes of WAL that may be kept."""
    memory = remembered(run.state)
    if memory is not None and memory.tables != _tables(plan):
        let_go(database.dsn, memory)
        memory = None
    memory = memory or new_memory(_tables(plan))
    with Slot(database.dsn, memory) as slot:
        facts = slot.facts()
        changes: Changes | None = None
        if not (why := begin_again(memory, facts, limit)):
            try:
                changes, why = slot.peek(plan.key, facts.now, MOST_MESSAGES), "more has changed than is worth reading row by row"
            except OndolError as error:
                if error.code not in (UNREADABLE, REFUSED, Deadline.code):
                    raise
                why = str(error)
        if changes is None:
            _begin(run, database, slot, facts, plan, memory, why)
        elif not slot.wait_until_seen(changes):
            run.notice("A commit in the database waits, for a standby perhaps, before others see it: it is read next time.")
        else:
            _read(run, database, slot, facts, plan, memory, changes)
        for told in warnings(slot.facts(), memory.name, limit):
            run.notice(told)


def _begin(run: Run, database: Database, slot: Slot, facts: Facts, plan: Plan, memory: Memory, why: str) -> None:
    """The slot anew, then the whole table: what changes in between is told by the slot, and read again."""
    if memory.lsn:
        run.notice(f"The whole table is compared: {why.removesuffix('.')}.")
    memory.lsn, memory.rule = 0, ""
    # Remembered before it is made: no slot is left behind that nobody knows of.
    run.remember(**{SLOT: msgspec.to_builtins(memory)})
    try:
        _allowed(facts, slot.dsn, plan, memory)
        memory.lsn, memory.oid = slot.make(facts), plan.table.oid
        for told in unlimited(facts, memory.name):
            run.notice(told)
    except OndolError as error:
        run.notice(f"The table is not followed for now, but compared as a whole. {error}")
    run.remember(**{SLOT: msgspec.to_builtins(memory)})
    fill_from_table(run, database, plan)
    memory.rule = _rule(run, plan)
    run.remember(**{SLOT: msgspec.to_builtins(memory)})


def _read(run: Run, database: Database, slot: Slot, facts: Facts, plan: Plan, memory: Memory, changes: Changes) -> None:
    others = changes.elsewhere or (changes.keys and any(_own(plan) == (one.schema, one.name) for one in plan.parents))
    if changes.truncated or changes.unclear or others or memory.rule != _rule(run, plan):
        fill_from_table(run, database, plan)
        memory.rule = _rule(run, plan)
    else:
        _read_rows(run, database, slot, plan, changes)
        if (mark := read_mark(run.settled)) is not None:
            # The next comparison of the whole table may begin where the last one stood, but not by the keys that it saw.
            run.state[SETTLED] = msgspec.to_builtins(msgspec.structs.replace(mark, keys=""))
    # What is behind the last change was looked through too. Written down first: a slot that is further on than the book says
    # was read by somebody else.
    memory.lsn = max(memory.lsn, changes.end, facts.now)
    run.remember(**{SLOT: msgspec.to_builtins(memory)})
    slot.advance(memory.lsn)


def _read_rows(run: Run, database: Database, slot: Slot, plan: Plan, changes: Changes) -> None:
    prefix = database.id_prefix(plan)
    keys = slot.canonical(plan.table.oid, plan.key, sorted(changes.keys)) if changes.keys else []
    run.start(len(keys), of_documents=True)
    left = {prefix + row_key(key) for key in keys}
    for document in database.documents(plan, keys):
        if document is not None:
            left.discard(document.id)
            run.put(document)
    run.flush()
    run.remove(sorted(run.find(sorted(left))))
    run.passed(len(left))


def let_go(dsn: Dsn, memory: Memory) -> bool:
    """Drop the slot, and the publication where nobody else may read it; whether there was a slot."""
    with Slot(dsn, memory) as slot:
        dropped = slot.drop()
        with contextlib.suppress(OndolError):  # its owner's to drop, and it keeps no WAL
            slot.drop_publication()
    return dropped


def _allowed(facts: Facts, dsn: Dsn, plan: Plan, memory: Memory) -> None:
    if (no := refusal(facts, memory, user=dsn.user, key=plan.key)) is not None:
        raise no


def _tables(plan: Plan) -> list[Table]:
    """The table, and those whose names come with its rows: where they change, so may any row's text."""
    parents = {(parent.schema, parent.name) for parent in plan.parents}
    return [_own(plan), *sorted(parents - {_own(plan)})]


def _own(plan: Plan) -> Table:
    return plan.table.schema, plan.table.name


def _rule(run: Run, plan: Plan) -> str:
    return version_hash(plan.signature, run.rule)
