"""Decisions about a logical slot, as pure functions: may a table be followed, must it begin again, is the disk in danger."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.errors import OndolError, UpstreamError

OLDEST = 130000
SAFE_SHARE = 0.2


@dataclass(frozen=True)
class Identity:
    """What the log tells of an old row of a table: `kind` is pg_class.relreplident, `columns` those of its index."""

    kind: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What the database says of itself, a table, and our slot over it. Sizes in bytes, positions in the WAL as numbers.

    `wal_limit` is max_slot_wal_keep_size, -1 for none. `safe_bytes`: WAL that may still be written before the slot is lost.
    """

    version: int
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
    """What a source remembers of its slot, in the book. `lsn`: as far as the slot may have been moved on; 0 until it was made.

    `rule`: the plan and chunking under which the whole table was last compared; empty until that is done.
    """

    name: str
    publication: str
    schema: str
    table: str
    lsn: int = 0
    oid: int = 0
    rule: str = ""


def new_memory(schema: str, table: str) -> Memory:
    """Names for a slot of this source alone, and for the publication that all slots over the table share."""
    clean = re.sub(r"[^a-z0-9]+", "_", table.lower()).strip("_")[:24] or "table"
    of_table = hashlib.blake2s(f"{schema}.{table}".encode(), digest_size=3).hexdigest()
    return Memory(f"ondol_{clean}_{secrets.token_hex(4)}", f"ondol_{clean}_{of_table}", schema, table)


def quoted(schema: str, table: str) -> str:
    """The table's name as a statement has it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))


def refusal(facts: Facts, *, user: str, table: str, publication: str, key: Sequence[str]) -> OndolError | None:
    """Why a table can't be followed, with the statements that its database's owner must run. `table` is quoted."""
    if facts.version < OLDEST:
        return _refused(f"Changes are followed from PostgreSQL 13 on, and this is {facts.version // 10000}.", "Leave --follow out.")
    if facts.standby:
        return _refused("This database is a standby: changes are followed on the primary.", "Name the primary, or leave --follow out.")
    if facts.kind not in ("r", "p") or facts.persistence != "p":
        what = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(facts.kind, "not kept in the WAL")
        return _refused(f"{table} is {what}: its changes can't be followed.", "Leave --follow out.")
    if (index := _without_identity(facts.identities, key)) is not None:
        return _refused(
            f"The log of {table} does not tell which row was changed or deleted by {', '.join(key)}.",
            f"Its owner must run: ALTER TABLE {table} REPLICA IDENTITY {'DEFAULT' if index == 'primary' else 'FULL'};",
        )
    statements = []
    if facts.wal_level != "logical":
        statements.append("ALTER SYSTEM SET wal_level = logical; (and restart PostgreSQL)")
    if not facts.may_replicate:
        statements.append(f'ALTER ROLE "{user}" REPLICATION; (on Amazon RDS: GRANT rds_replication TO "{user}";)')
    if not facts.published and not facts.may_publish:
        statements.append(publish(publication, table, known=facts.publication))
    if statements:
        return _refused(f"Changes of {table} can't be followed yet.", "The database's owner must run: " + " ".join(statements))
    return None


def _refused(message: str, hint: str) -> OndolError:
    return UpstreamError(message, hint=hint, code="follow_refused")


def _without_identity(identities: Sequence[Identity], key: Sequence[str]) -> str | None:
    """None where the log tells each old row's key; else "primary" or "full", the identity that would."""
    for one in identities:
        if one.kind == "f" or (one.columns and set(key) <= set(one.columns)):
            continue
        return "full"
    return None


def publish(publication: str, table: str, *, known: bool) -> str:
    """The statement that makes the publication tell a table's changes. Of a partitioned table they come under its own name."""
    if known:
        return f'ALTER PUBLICATION "{publication}" SET TABLE {table};'
    return f'CREATE PUBLICATION "{publication}" FOR TABLE {table} WITH (publish_via_partition_root = true);'


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
    if facts.wal_limit < 0:
        told.append(
            f"While nothing syncs, the database keeps its WAL for the slot {name}, up to a full disk. Its owner sets a limit with: "
            "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();"
        )
    return told


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def facts_of(row: dict[str, Any], identities: Sequence[tuple[str, Sequence[str]]]) -> Facts:
    """The facts as the catalogue's rows tell them."""
    return Facts(**row, identities=tuple(Identity(kind, tuple(columns)) for kind, columns in identities))
