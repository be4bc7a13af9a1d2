"""`ondol`: the command line. Each command loads only what it needs, so that help and small commands are quick."""

from __future__ import annotations

import typer

from app.cli import ask, configuration, connect, doctor, ingest_keeping, key, models, open_webui, search, serve, tray
from app.cli.bench import command as bench

EPILOG = (
    "Exit statuses: 0 done, 1 some items failed, 2 wrong usage, 66 not found, 69 a configured service failed, 74 disk full, "
    "75 try again later, 77 not allowed, 78 wrong configuration, 130 interrupted."
)
command = typer.Typer(
    name="ondol",
    help="A private assistant over your own PostgreSQL and documents, on this machine.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
serve.add(command)
key.add(command)
ask.add(command)
search.add(command)
command.add_typer(ingest_keeping.command, name="ingest")
command.add_typer(models.command, name="models")
open_webui.add(command)
command.add_typer(connect.command, name="connect")
tray.add(command)
doctor.add(command)
command.add_typer(configuration.command, name="config")
command.add_typer(bench.command, name="bench")


def main() -> None:
    """The entry point of `ondol`."""
    command()
