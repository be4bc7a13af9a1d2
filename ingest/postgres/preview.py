"""What a run would read, without reading it: nothing is written."""

from __future__ import annotations

import msgspec

from app.core.errors import OndolError
from ingest.postgres.asked import Target
from ingest.postgres.database import Database
from ingest.postgres.follow import check
from ingest.postgres.slot_facts import REFUSED

_LONGEST = 600


class Preview(msgspec.Struct, frozen=True):
    """One table or query as it would become documents. `unused`: columns that are left out, and why.

    `rows` there are now, `documents` that the store holds of it already. `changes`: how later runs find what changed. `unfollowed`: why
    it can't be followed, where that was asked for; then it is not read at all until its owner has done what that says.
    """

    source: str
    key: tuple[str, ...]
    text: tuple[str, ...]
    facts: tuple[str, ...]
    attributes: tuple[str, ...]
    parents: tuple[str, ...]
    unused: tuple[str, ...]
    rows: int
    documents: int
    changes: str
    unfollowed: str = ""
    title: str = ""
    url: str = ""
    access: tuple[str, ...] | None = None
    example: str = ""


def preview(database: Database, target: Target, documents: int, *, follow: bool) -> Preview:
    """Of one source to be; `documents` of it stand in the store already. `follow`: by a slot, which is not made yet."""
    plan = target.plan
    unfollowed = _unfollowed(database, target) if follow else ""
    with database.snapshot(plan, "") as snapshot:
        if follow and not unfollowed:
            changes = "by a slot: the database tells which rows changed, and a later run reads those alone"
        elif snapshot.mark is not None:
            changes = "by their transactions: a later run looks at new and changed rows alone"
        else:
            changes = f"by hashing every row in the database at each run, since {snapshot.why_not}"
    example = database.example(plan)
    text = "\n\n".join(block.text for block in example.blocks) if example else ""
    return Preview(
        source=f"{database.dsn.connection}/{plan.table.full_name}",
        key=plan.key,
        text=plan.text,
        facts=plan.facts,
        attributes=plan.attributes,
        parents=tuple(f"{parent.column}: {parent.schema}.{parent.name} ({', '.join(parent.label)})" for parent in plan.parents),
        unused=target.notices,
        rows=database.count(plan),
        documents=documents,
        changes=changes,
        unfollowed=unfollowed,
        title=example.title if example else "",
        url=example.url if example else "",
        access=example.access if example else None,
        example=text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…",
    )


def _unfollowed(database: Database, target: Target) -> str:
    try:
        check(database.dsn, target.plan)
    except OndolError as error:
        if error.code != REFUSED:
            raise
        return str(error)
    return ""
