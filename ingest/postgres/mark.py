"""Which rows can have changed since a run: the snapshot rule, as pure decisions over what the database said then and says now.

A row version carries the transaction that wrote it (xmin, 32 bits that go round). Whatever the snapshot of the last run did not see was
written by a transaction that was running or not begun then: its number is at least that snapshot's `xmin`, the oldest that was
running. So rows whose number is smaller are as they were. Late commits, rows under a SAVEPOINT (their numbers are higher than their
transaction's) and long transactions are all on the right side of that line; what `updated_at` or the snapshot's own list of
transactions would miss.

The line means nothing once the database is not the same one any more, or the text of rows changes without their being written. Then
every row is hashed. `era` and `form` are digests of all that must have stayed: see `ground.sql_era` and `ground.sql_form`.
"""

from __future__ import annotations

import msgspec

_ROUND = 1 << 32


class Mark(msgspec.Struct, frozen=True):
    """Where a run that went through to its end stood.

    `xmin`, `xmax`: its snapshot's, 64 bits. `keys`: count and digest of the keys that it saw. `documents`: how many the source had in the
    store at its end. `rule`: how documents were made of rows.
    """

    xmin: int
    xmax: int
    era: str
    form: str
    rule: str
    keys: str = ""
    documents: int = 0


def read_mark(kept: object) -> Mark | None:
    """A mark out of a source's state; None where there is none that can be read."""
    try:
        return msgspec.convert(kept, Mark)
    except msgspec.ValidationError:
        return None


def reach(before: Mark | None, now: Mark | None) -> int | None:
    """How far below the new snapshot's last transaction the changed rows' transactions lie at most; None: every row must be hashed."""
    if before is None or now is None:
        return None
    if (before.era, before.form, before.rule) != (now.era, now.form, now.rule):
        return None
    if now.xmin < before.xmin or now.xmax < before.xmax:  # an older state of the database came back
        return None
    distance = now.xmax - 1 - before.xmin
    return distance if distance < _ROUND - 1 else None


def same_keys(before: Mark | None, now: Mark, documents: int) -> bool:
    """Whether no row came or went since, and the store holds as many documents as then."""
    return before is not None and bool(now.keys) and before.keys == now.keys and before.documents == documents


def snapshot_bounds(shown: str) -> tuple[int, int]:
    """(xmin, xmax) of `xmin:xmax:running`, as PostgreSQL writes a snapshot."""
    xmin, xmax, _ = shown.split(":")
    return int(xmin), int(xmax)
