"""A PostgreSQL table as a source: keys and hashes tell what changed, and only that is read."""

from __future__ import annotations

from app.core.errors import BadRequest
from ingest.documents import Failed, version_hashes
from ingest.postgres.database import FETCH, Database
from ingest.postgres.plan import Plan, row_key
from ingest.run import Run


def fill_from_table(run: Run, database: Database, plan: Plan) -> None:
    """Bring the store's documents in line with the table's rows. BadRequest: the key named does not tell rows apart."""
    changed = _changed(run, database, plan)
    run.start(run.counts.unchanged + len(changed))
    run.passed(run.counts.unchanged)
    silent = 0
    for at in range(0, len(changed), FETCH):
        some = changed[at : at + FETCH]
        for document in database.documents(plan, some):
            if document is None:
                silent += 1
            else:
                run.put(document)
            run.passed()
    run.flush()
    if silent:
        run.notice(f"{silent} rows say nothing beyond their key and were left out.")
    run.remove_unseen()


def _changed(run: Run, database: Database, plan: Plan) -> list[tuple[str, ...]]:
    """Keys of new and changed rows; the others are kept. Runs over every row: only what must be done for each stands in the loop."""
    prefix, hash_of = database.id_prefix(plan), version_hashes(plan.signature, run.rule)
    certain = plan.key in plan.table.keys
    changed: list[tuple[str, ...]] = []
    kept: list[str] = []
    seen: set[str] = set()
    for key, row_hash in database.scan(plan):
        if None in key:
            run.fail(_without_key(prefix, key, plan))
            continue
        id = prefix + row_key(key)
        if not certain:
            if id in seen:
                raise BadRequest(
                    f"{', '.join(plan.key)} does not tell the rows of {plan.table.full_name} apart: {', '.join(key)} occurs twice.",
                    hint="Name more columns with --key.",
                    param="key",
                )
            seen.add(id)
        if run.holds(id, hash_of(row_hash)):
            kept.append(id)
        elif not run.forgotten(id):
            changed.append(key)
    run.keep(kept)
    return changed


def _without_key(prefix: str, key: tuple[str, ...], plan: Plan) -> Failed:
    shown = row_key([part or "" for part in key])
    return Failed(prefix + shown, f"A row of {plan.table.full_name} has no value in its key {', '.join(plan.key)}.")
