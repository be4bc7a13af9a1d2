"""What a source no longer has: found by what a run did not see, and not believed where it is too much at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.core.errors import Conflict
from ingest.book.held import Seen
from ingest.book.writer import Writer
from ingest.options import Options

GUARD_FLOOR = 20
"""Deletions up to this count are never refused: small sources change by large shares."""


def unseen(writer: Writer, source_id: int, seen: Seen, spared: Callable[[str], bool] | None) -> Iterator[list[str]]:
    """The ids of a source's documents that were not seen, but for those that are `spared`; a page at a time."""
    after = 0
    while some := writer.page_of(source_id, after):
        after = some[-1][0]
        yield [id for pk, id in some if pk not in seen and not (spared and spared(id))]


def guard(source: str, gone: int, of: int, options: Options) -> None:
    """Conflict: a suspiciously large share of a source's documents has vanished, and the owner has not said that this is right."""
    if not options.allow_delete and gone > GUARD_FLOOR and gone > options.delete_guard * of:
        raise Conflict(
            f"{source}: {gone} of {of} documents have vanished, more than {options.delete_guard:.0%}. None was removed.",
            hint="If that is right, run it again with --allow-delete.",
            code="mass_delete",
        )
