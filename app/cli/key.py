"""`ondol key`."""

from __future__ import annotations

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def key(json: Json = False) -> None:
        """Print the API key. Clients send it as `Authorization: Bearer KEY`."""
        out = Output(json=json)

        def work() -> None:
            from app.core.credentials import api_key
            from app.core.paths import Home

            found = api_key(Home.find())
            out.data({"key": found})
            out.text(found)

        guarded(work, out)
