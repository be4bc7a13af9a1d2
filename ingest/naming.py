"""Sources and documents as somebody names them, with the nearest names where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.errors import ItemError, NotFound
from app.core.names import composed
from ingest.book.writer import SourceRow, Writer
from ingest.files import file_id

Known = tuple[str, str, str, dict[str, Any]]
"""A source as the book knows it: its store, kind, name and spec."""


def find_source(writer: Writer, wanted: str) -> SourceRow:
    """The source of this name; a path may be written as it was typed. NotFound names the nearest."""
    rows = writer.sources()
    named = meant([row.name for row in rows], wanted)
    found = next((row for row in rows if row.name in named), None)
    if found is None:
        raise unknown("source", wanted, writer.store, [row.name for row in rows])
    return found


def named(known: Sequence[Known], store: str | None, wanted: str | None) -> list[Known]:
    """Those of the sources that somebody means; all where nobody named one. NotFound names the nearest."""
    names = meant([one[2] for one in known], wanted)
    found = [one for one in known if one[2] in names]
    if wanted is not None and not found:
        raise unknown("source", wanted, store or "", [one[2] for one in known])
    return found


def meant(names: Sequence[str], wanted: str | None) -> set[str]:
    """Those of the names that somebody means: the very one, else what looks the same, or is the path that was typed. All for None."""
    if wanted is None or wanted in names:
        return set(names if wanted is None else [wanted])
    forms = spelled(wanted)
    return {name for name in names if composed(name) in forms}


def spelled(wanted: str) -> set[str]:
    """A name as it was typed, in its one form (NFC), and as a path is written in the book."""
    try:
        return {wanted, composed(wanted), file_id(Path(wanted))}
    except ItemError:
        return {wanted}


def nearest(wanted: str, names: Sequence[str], otherwise: str) -> str:
    """A hint to names that are like what somebody wrote; where none is, `otherwise`."""
    near = difflib.get_close_matches(wanted, names, 3, 0.5)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise


def unknown(what: str, wanted: str, store: str, names: list[str]) -> NotFound:
    """The error that says so."""
    hint = nearest(wanted, names, "`ondol ingest status` lists what there is.")
    where = f'The store "{store}" has' if store else "There is"
    return NotFound(f"{where} no {what} {wanted}.", hint=hint, param=what)
