"""`ondol serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def serve(
        port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.", show_default="11500")] = None,
        host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
        json: Json = False,
        until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Start the server and stay in the foreground. Ctrl-C ends it."""
        out = Output(json=json)

        def work() -> int:
            from app.cli.runner import run

            return run(out, host=host, port=port, until_stdin_closes=until_stdin_closes)

        guarded(work, out)
