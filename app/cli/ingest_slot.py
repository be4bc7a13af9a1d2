"""`ondol ingest slot ...`: what databases keep for sources that are followed."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import Json, store_option
from app.cli.output import Output, guarded

command = typer.Typer(help="The slots by which databases tell what changes (`ingest postgres --follow`).", no_args_is_help=True)


@command.callback()
def slots() -> None:
    """The slots by which databases tell what changes (`ingest postgres --follow`)."""


@command.command()
def drop(
    source: Annotated[str, typer.Argument(help="The source, as `ondol ingest status` names it.")],
    store: Annotated[str, store_option("--in", "Its store.")],
    json: Json = False,
) -> None:
    """Follow a source no more: its database need keep no WAL for it. Its documents stay, and syncs compare the whole table."""
    out = Output(json=json)

    def work() -> None:
        from app.cli.standalone import prepared
        from app.core.paths import Home
        from ingest.postgres.slots import drop_slot

        home = Home.find()
        prepared(home, "ingest")
        name = drop_slot(home, store, source)
        out.data({"event": "slot_dropped", "store": store, "source": source, "slot": name})
        out.text(f"The slot {name} is dropped." if name else "It had no slot yet, and will get none.")

    guarded(work, out)
