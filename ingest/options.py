"""How a run works, as its caller chose it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.chunking import DEFAULT, RULE, ChunkOptions
from ingest.keeping.failing import Retry
from ingest.keeping.schedule import Schedule
from ingest.readers.contract import DEFAULT as LIMITS
from ingest.readers.contract import Limits


@dataclass(frozen=True)
class Options:
    """How a run works. `delete_guard`: the largest share of a source's documents that may vanish at once.

    `slot_wal_bytes`: WAL that a database may keep for a followed table before the whole of it is compared instead.
    `access` and `may_leave` label the documents; None keeps what the source was ingested with, as does a `schedule` of None.
    `retry`: items that failed before, tried now whatever their time. `reread`: everything is read and cut again. `settle`: files changed
    less than so many seconds ago are left for later, as somebody is still writing them. `wait`: for another writer of the store.
    `follow_links`: a folder that is named now is read where links lead out of it, too.
    """

    chunk: ChunkOptions = DEFAULT
    limits: Limits = LIMITS
    delete_guard: float = 0.5
    allow_delete: bool = False
    batch_chunks: int = 512
    access: tuple[str, ...] | None = None
    may_leave: bool | None = None
    slot_wal_bytes: int = 4_000_000_000
    schedule: Schedule | None = None
    retry: Retry = False
    reread: bool = False
    settle: float = 0.0
    wait: bool = True
    follow_links: bool = False


@dataclass(frozen=True)
class Labels:
    """What a source's documents carry: who may see them, and whether they may leave this machine.

    Nothing asks for the latter yet, as no assistant falls back from a local model to a far one. It is kept with each document because a
    label that comes later would have every source read anew.
    """

    access: tuple[str, ...] = ()
    may_leave: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Labels:
        """Of a source, as the book remembers it."""
        return cls(tuple(spec.get("access", ())), bool(spec.get("may_leave", False)))


def rule_of(cut: ChunkOptions, labels: Labels) -> str:
    """How documents become what the store holds of them: with another rule all of them are made anew."""
    return msgspec.json.encode((RULE, msgspec.to_builtins(cut), labels.access, labels.may_leave)).decode()
