"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.core.names import composed


def store_option(flag: str, help: str) -> Any:
    """An option that names a store: the one way by which such a name comes in from the command line."""
    return typer.Option(flag, metavar="STORE", callback=composed, help=help)


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Every = Annotated[str, typer.Option("--every", metavar="15m", help="Read it again so often, while the server runs (30s, 15m, 2h, 1d).")]
Cron = Annotated[str, typer.Option("--cron", metavar="'0 3 * * *'", help="Read it again at these times: minute hour day month weekday.")]
OnChange = Annotated[bool, typer.Option("--on-change", help="Read a folder again as soon as something in it changes.")]
Into = Annotated[str, store_option("--into", "The store to fill; it is made when there is none.")]
OneStore = Annotated[str, store_option("--in", "Only this store.")]
TheStore = Annotated[str, store_option("--in", "The store.")]
OneSource = Annotated[str, typer.Option("--source", help="Only this source, as `ondol ingest status` names it.")]
