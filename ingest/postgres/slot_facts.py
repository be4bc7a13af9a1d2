"""Decisions about a logical slot, as pure functions: may a table be followed, must it begin again, is the disk in danger."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.errors import OndolError, UpstreamError

OLDEST = 130000
REFUSED = "follow_refused"
SAFE_SHARE = 0.2


Table = tuple[str, str]
"""A table's schema and name."""


@dataclass(frozen=True)
class Identity:
    """What the log tells of an old row of a table: `kind` is pg_class.relreplident, `columns` those of its index.

    `own`: it is the table itself (or a partition of it), not one whose names come with its rows.
    """

    table: Table
    kind: str
    columns: tuple[str, ...]
    own: bool = True


@dataclass(frozen=True)
class Facts:
    """What the database says of itself, a table, and our slot over it. Sizes in bytes, positions in the WAL as numbers.

    `wal_limit` is max_slot_wal_keep_size, -1 for none. `safe_bytes`: WAL that may still be written before the slot is lost.
    """

    wal_level: str
    standby: bool
    now: int
    wal_limit: int
    may_replicate: bool
    may_publish: bool
    oid: int | None
    kind: str
    persistence: str
    published: bool
    publication: bool
    slot: bool
    wal_status: str
    safe_bytes: int | None
    confirmed: int
    kept_from: int
    active: bool
    identities: tuple[Identity, ...] = ()

    @property
    def behind(self) -> int:
        """Bytes of WAL that were not read yet."""
        return max(0, self.now - self.confirmed) if self.slot else 0

    @property
    def kept(self) -> int:
        """Bytes of WAL that the database keeps for the slot."""
        return max(0, self.now - self.kept_from) if self.slot and self.kept_from else 0


class Memory(msgspec.Struct):
    """What a source remembers of its slot, in the book. `tables`: the one that is followed, then those that it points at.

    `lsn`: as far as the slot may have been moved on; 0 until it was made. `rule`: the plan and chunking under which the whole table was
    last compared; empty until that is done.
    """

    name: str
    publication: str
    tables: list[Table]
    lsn: int = 0
    oid: int = 0
    rule: str = ""


def new_memory(tables: Sequence[Table]) -> Memory:
    """Names for a slot of this source alone, and for the publication that all slots over these tables share."""
    clean = re.sub(r"[^a-z0-9]+", "_", tables[0][1].lower()).strip("_")[:24] or "table"
    of_tables = hashlib.blake2s(repr(list(tables)).encode(), digest_size=3).hexdigest()
    return Memory(f"ondol_{clean}_{secrets.token_hex(4)}", f"ondol_{clean}_{of_tables}", list(tables))


def quoted(*tables: Table) -> str:
    """Tables as a statement has them; a query, which has no schema, by its name alone."""
    return ", ".join(".".join('"' + part.replace('"', '""') + '"' for part in table if part) for table in tables)


def too_old(version: int) -> OndolError | None:
    """Why a server of this version (as server_version_num) can't be followed: it lacks what the facts are asked by."""
    if version >= OLDEST:
        return None
    return _refused(f"Changes are followed from PostgreSQL 13 on, and this is {version // 10000}.", "Leave --follow out.")


def refusal(facts: Facts, memory: Memory, *, user: str, key: Sequence[str]) -> OndolError | None:
    """Why a table can't be followed, with the statements that its database's owner must run."""
    table = quoted(memory.tables[0])
    if facts.standby:
        return _refused("This database is a standby: changes are followed on the primary.", "Name the primary, or leave --follow out.")
    if facts.kind not in ("r", "p") or facts.persistence != "p":
        what = {"": "no table of the database", "v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(
            facts.kind, "not kept in the WAL"
        )
        return _refused(f"{table} is {what}: its changes can't be followed.", "Leave --follow out.")
    if blind := [one.table for one in facts.identities if not _tells(one, key)]:
        # Publishing such a table would make its owner's own UPDATE and DELETE fail.
        needed = " ".join(f"ALTER TABLE {quoted(one)} REPLICA IDENTITY FULL;" for one in blind)
        return _refused(f"The log of {quoted(blind[0])} does not tell which rows were changed or deleted.", f"Its owner must run: {needed}")
    statements = []
    if facts.wal_level != "logical":
        statements.append("ALTER SYSTEM SET wal_level = logical; (and restart PostgreSQL)")
    if not facts.may_replicate:
        statements.append(f'ALTER ROLE "{user}" REPLICATION; (on Amazon RDS: GRANT rds_replication TO "{user}";)')
    if not facts.published and not facts.may_publish:
        statements.append(publish(memory, known=facts.publication))
    if statements:
        return _refused(f"Changes of {table} can't be followed yet.", "The database's owner must run: " + " ".join(statements))
    return None


def _refused(message: str, hint: str) -> OndolError:
    return UpstreamError(message, hint=hint, code=REFUSED)


def _tells(identity: Identity, key: Sequence[str]) -> bool:
    """Whether the log tells which row it was: of the table itself by its key, of others at all."""
    return identity.kind == "f" or (bool(identity.columns) and (not identity.own or set(key) <= set(identity.columns)))


def publish(memory: Memory, *, known: bool) -> str:
    """The statement that makes the publication tell the tables' changes; those of a partition under its parent's name."""
    if known:
        return f'ALTER PUBLICATION "{memory.publication}" SET TABLE {quoted(*memory.tables)};'
    return f'CREATE PUBLICATION "{memory.publication}" FOR TABLE {quoted(*memory.tables)} WITH (publish_via_partition_root = true);'


def begin_again(memory: Memory, facts: Facts, limit: int) -> str:
    """Why the slot must be made anew and the whole table compared, in words for the owner; empty: it can be read on.

    `limit`: bytes of WAL that may be kept; with more of them a comparison is cheaper, and frees the disk at once.
    """
    if not memory.lsn:
        return "the slot is new"
    if not facts.slot:
        return "the slot is gone"
    if facts.wal_status == "lost":
        return "the database has thrown away what the slot had yet to tell"
    if not facts.published:
        return "the publication is gone, or no longer tells the table"
    if memory.oid != facts.oid:
        return "the table was made anew"
    if facts.now < memory.lsn:
        return "the database was brought back from an older state"
    if facts.confirmed > memory.lsn:
        return "somebody else has read from the slot"
    if facts.kept > limit:
        return f"the database keeps {size(facts.kept)} of WAL for the slot, more than {size(limit)}"
    return ""


def warnings(facts: Facts, name: str, limit: int) -> list[str]:
    """What the owner should know before the WAL that is kept for the slot fills the disk."""
    told = []
    if facts.slot and facts.wal_status == "lost":
        told.append(f"The database has thrown away WAL that the slot {name} had yet to tell: the next sync compares the whole table.")
    elif facts.slot and facts.kept > limit / 2:
        told.append(f"The database keeps {size(facts.kept)} of WAL for the slot {name}. A sync frees it; so does `ondol ingest slot drop`.")
    if facts.safe_bytes is not None and facts.wal_limit > 0 and facts.safe_bytes < facts.wal_limit * SAFE_SHARE:
        told.append(f"The slot {name} will be lost after {size(max(0, facts.safe_bytes))} more of WAL: sync soon.")
    return told


def unlimited(facts: Facts, name: str) -> list[str]:
    """What the owner should know once of a database that sets no limit to the WAL it keeps."""
    told = []
    if facts.wal_limit < 0:
        told.append(
            f"While nothing syncs, the database keeps its WAL for the slot {name}, up to a full disk. Its owner sets a limit with: "
            "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();"
        )
    return told


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def facts_of(row: dict[str, Any], identities: Iterable[tuple[str, str, str, Sequence[str], bool]]) -> Facts:
    """The facts as the catalogue's rows tell them."""
    told = (Identity((schema, name), kind, tuple(columns), own) for schema, name, kind, columns, own in identities)
    return Facts(**row, identities=tuple(told))
