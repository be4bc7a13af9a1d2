"""A PostgreSQL table as a source: keys and hashes tell what changed, and only that is read."""

from __future__ import annotations

from app.core.errors import BadRequest
from ingest.documents import Failed, version_hash
from ingest.postgres import FETCH, Database
from ingest.rows import Plan, row_key
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
    """Keys of new and changed rows; the others are kept."""
    prefix = database.id_prefix(plan)
    certain = plan.key in plan.table.keys
    changed: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for given, hash in database.scan(plan):
        key = tuple(part for part in given if part is not None)
        if len(key) < len(given):
            run.fail(
                Failed(
                    prefix + row_key([part or "" for part in given]),
                    f"A row of {plan.table.full_name} has no value in its key {', '.join(plan.key)}.",
                )
            )
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
        if run.holds(id, version_hash(plan.version(hash), run.rule)):
            run.keep((id,))
        elif not run.forgotten(id):
            changed.append(key)
    return changed
