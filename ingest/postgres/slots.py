"""What is told and done about the slots of sources outside of their runs: `ingest status`, `ingest slot drop`, `ingest forget`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import BadRequest, OndolError
from app.core.paths import Home
from ingest import naming
from ingest.book.writer import open_writer
from ingest.postgres.follow import SLOT, let_go, remembered
from ingest.postgres.kept import kept_dsn
from ingest.postgres.slot import Slot
from ingest.postgres.slot_facts import unlimited, warnings

LOOK_SECONDS = 2


class SlotState(msgspec.Struct, frozen=True):
    """A followed source's slot now. `behind_bytes` of WAL are not read yet, `kept_bytes` are kept for it by the database.

    `wal_status` is pg_replication_slots'; "missing": there is no slot; empty with an `error`: the database could not be asked.
    `safe_bytes`: WAL that may still come before the slot is lost; None: no limit is set. `warnings` are sentences for the owner.
    """

    name: str
    wal_status: str = ""
    behind_bytes: int = 0
    kept_bytes: int = 0
    safe_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""


def slot_state(
    home: Home, spec: Mapping[str, Any], state: Mapping[str, Any], limit: int, *, seconds: int = LOOK_SECONDS
) -> SlotState | None:
    """The state of a source's slot, asked of its database; None where the source has none.

    `limit` is ingest.slot_wal_megabytes in bytes. Blocking, a few `seconds` at most; raises nothing.
    """
    memory = remembered(state)
    if memory is None:
        return None
    try:
        with Slot(kept_dsn(home, spec), memory, seconds=seconds) as slot:
            facts = slot.facts(seconds)
    except OndolError as error:
        return SlotState(memory.name, error=str(error))
    told = [*warnings(facts, memory.name, limit), *unlimited(facts, memory.name)]
    status = facts.wal_status if facts.slot else "missing"
    return SlotState(memory.name, status, facts.behind, facts.kept, facts.safe_bytes, tuple(told))


def release(home: Home, spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Drop a source's slot where it has one. What is left to be done by the database's owner, in words; empty: nothing."""
    memory = remembered(state)
    if memory is None:
        return ""
    try:
        let_go(kept_dsn(home, spec), memory)
    except OndolError as error:
        must = f"Its database keeps WAL for it until its owner runs: SELECT pg_drop_replication_slot('{memory.name}');"
        return f"The slot {memory.name} could not be dropped: {error} {must}"
    return ""


def drop_slot(home: Home, store: str, source: str) -> str:
    """Follow a source no more: its slot goes, its documents stay and are kept in step by comparing. The slot's name.

    NotFound names the nearest source; BadRequest: it is not followed. A database that can't be asked is asked again by the next sync.
    """
    with open_writer(home, store, create=False) as writer:
        row = naming.find_source(writer, source)
        memory = remembered(row.state)
        if memory is None and not row.spec.get("follow"):
            raise BadRequest(f"{row.name} is not followed: it has no slot.", param="source")
        # First of all: a kill in between leaves a slot that the next sync drops, not one that it makes again.
        writer.respec(row.id, {**row.spec, "follow": False})
        if memory is None:
            return ""
        let_go(kept_dsn(home, row.spec), memory)
        writer.remember(row.id, {name: value for name, value in row.state.items() if name != SLOT})
        return memory.name
