"""`ondol ingest postgres ... --dry-run`: what would be read."""

from __future__ import annotations

import msgspec

from app.cli.output import Output
from app.cli.standalone import prepared
from app.core.paths import Home
from ingest.postgres.asked import Asked
from ingest.postgres.preview import Preview
from ingest.sync import preview_postgres


def show(out: Output, dsn: str, asked: Asked, store: str) -> None:
    """A paragraph a table, or a JSON line."""
    home = Home.find()
    prepared(home, "ingest")
    found, left = preview_postgres(home, dsn, asked, store)
    for one in found:
        out.data({"event": "preview", "store": store, **msgspec.to_builtins(one)})
        out.text(paragraph(one))
    for reason in left:
        out.note(f"note: {reason}")
    out.text(f"Nothing was written: {len(found)} tables, {sum(one.rows for one in found)} rows.")


def paragraph(one: Preview) -> str:
    """A table as people read of it."""
    lines = [
        one.source,
        f"    rows        {one.rows} ({one.documents} are in the store)",
        f"    key         {', '.join(one.key)}",
        f"    text        {', '.join(one.text) or '(none)'}",
        f"    facts       {', '.join(one.facts) or '(none)'}",
    ]
    if one.attributes:
        lines.append(f"    attributes  {', '.join(one.attributes)}")
    lines += [f"    with        {parent}" for parent in one.parents]
    lines += [f"    left out    {reason}" for reason in one.unused]
    lines.append(f"    changes     are found {one.changes}")
    if one.unfollowed:
        lines.append(f"    --follow    is refused, and nothing read with it: {one.unfollowed}")
    if one.example:
        lines.append(f"    example     {one.title}{f' <{one.url}>' if one.url else ''}")
        lines += [f"                | {line}" for line in one.example.splitlines()]
    if one.access is not None:
        lines.append(f"    seen by     {', '.join(one.access)}")
    return "\n".join(lines)
