"""Taking things out on purpose."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from app.core.errors import ItemError, NotFound
from app.core.paths import Home
from ingest.book.writer import SourceRow, Writer
from ingest.files import file_id
from ingest.secrets import Secrets

_STEP = 1000
_NAMES = 5000
"""Names among which the nearest is looked for."""
Known = tuple[str, str, str, dict[str, Any]]


def find_source(writer: Writer, wanted: str) -> SourceRow:
    """The source of this name; a path may be written as it was typed. NotFound names the nearest."""
    rows = writer.sources()
    found = next((row for row in rows if row.name in spelled(wanted)), None)
    if found is None:
        raise _unknown("source", wanted, writer.store, [row.name for row in rows])
    return found


def named(known: Sequence[Known], store: str | None, wanted: str | None) -> list[Known]:
    """Those of the sources (store, kind, name, spec) that somebody means; all where nobody named one. NotFound names the nearest."""
    found = [one for one in known if wanted is None or one[2] in spelled(wanted)]
    if wanted is not None and not found:
        raise _unknown("source", wanted, store or "", [one[2] for one in known])
    return found


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
        raise _unknown("document", wanted, writer.store, list(islice(writer.ids(), _NAMES)))
    # Remembered first: a kill in between leaves them to be forgotten again, not to come back.
    for row in writer.sources():
        writer.remember(row.id, {**row.state, "forgotten": sorted({*row.state.get("forgotten", ()), *ids})})
    return writer.delete(ids)


def spelled(wanted: str) -> set[str]:
    """A name as it was typed, and as a path is written in the book."""
    try:
        return {wanted, file_id(Path(wanted))}
    except ItemError:
        return {wanted}


def _unknown(what: str, wanted: str, store: str, names: list[str]) -> NotFound:
    near = difflib.get_close_matches(wanted, names, 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`ondol ingest status` lists what there is."
    where = f'The store "{store}" has' if store else "There is"
    return NotFound(f"{where} no {what} {wanted}.", hint=hint, param=what)
