"""Taking things out on purpose."""

from __future__ import annotations

import difflib
from pathlib import Path

from app.core.errors import ItemError, NotFound
from app.core.paths import Home
from ingest.book.writer import SourceRow, Writer
from ingest.files import file_id
from ingest.secrets import Secrets

_STEP = 1000


def find_source(writer: Writer, wanted: str) -> SourceRow:
    """The source of this name; a path may be written as it was typed. NotFound names the nearest."""
    rows = writer.sources()
    try:
        spelled = {wanted, file_id(Path(wanted))}
    except ItemError:
        spelled = {wanted}
    found = next((row for row in rows if row.name in spelled), None)
    if found is None:
        raise _unknown("source", wanted, writer.store, [row.name for row in rows])
    return found


def forget_source(home: Home, writer: Writer, source: SourceRow) -> int:
    """Remove a source with its documents, and the password that no other source needs; how many documents there were."""
    ids = [id for id, known in writer.known().items() if known.source_id == source.id]
    gone = sum(writer.delete(ids[at : at + _STEP]) for at in range(0, len(ids), _STEP))
    writer.forget_source(source.id)
    if source.kind == "postgres":
        from ingest.postgres.dsn import Dsn

        name = Dsn(source.spec["dsn"]).secret_name
        if not any(Dsn(spec["dsn"]).secret_name == name for spec in writer.specs_everywhere("postgres")):
            Secrets(home.secrets, home.locks).remove(name)
    return gone


def forget_document(writer: Writer, wanted: str) -> int:
    """Remove a document, or all that came from the file of this path; how many there were."""
    known = writer.known()
    try:
        path = file_id(Path(wanted))
    except ItemError:
        path = wanted
    ids = {id for id in known if id in (wanted, path)} or {id for id in known if id.startswith(f"{path}#")}
    if not ids:
        raise _unknown("document", wanted, writer.store, list(known))
    # Remembered first: a kill in between leaves them to be forgotten again, not to come back.
    for row in writer.sources():
        writer.remember(row.id, {**row.state, "forgotten": sorted({*row.state.get("forgotten", ()), *ids})})
    return writer.delete(ids)


def _unknown(what: str, wanted: str, store: str, names: list[str]) -> NotFound:
    near = difflib.get_close_matches(wanted, names, 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`ondol ingest status` lists what there is."
    return NotFound(f'The store "{store}" has no {what} {wanted}.', hint=hint, param=what)
