"""Taking things out on purpose."""

from __future__ import annotations

from itertools import islice

from app.core.paths import Home
from ingest.book.writer import SourceRow, Writer
from ingest.naming import spelled, unknown
from ingest.secrets import Secrets

_STEP = 1000
_NAMES = 5000
"""Names among which the nearest is looked for."""


def forget_source(home: Home, writer: Writer, source: SourceRow) -> int:
    """Remove a source with its documents, and the password that no other source needs; how many documents there were."""
    gone = 0
    while some := writer.page_of(source.id, 0):
        gone += sum(writer.delete([id for _, id in some[at : at + _STEP]]) for at in range(0, len(some), _STEP))
    writer.forget_source(source.id)
    if source.kind == "postgres":
        from ingest.postgres.dsn import Dsn

        name = Dsn(source.spec["dsn"]).secret_name
        if not any(Dsn(spec["dsn"]).secret_name == name for spec in writer.specs_everywhere("postgres")):
            Secrets(home.secrets, home.locks).remove(name)
    return gone


def forget_document(writer: Writer, wanted: str) -> int:
    """Remove a document, or all that came from the file of this path; how many there were."""
    forms = spelled(wanted)
    within = tuple(f"{name}#" for name in forms)
    ids = set(writer.find(list(forms))) or {id for id in writer.ids() if id.startswith(within)}
    if not ids:
        raise unknown("document", wanted, writer.store, list(islice(writer.ids(), _NAMES)))
    # Remembered first: a kill in between leaves them to be forgotten again, not to come back.
    for row in writer.sources():
        writer.remember(row.id, {**row.state, "forgotten": sorted({*row.state.get("forgotten", ()), *ids})})
    return writer.delete(ids)
