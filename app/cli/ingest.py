"""`ondol ingest ...`: rows and files into a store, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import Into, Json
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.core.paths import Home
    from app.core.settings import Settings
    from ingest.report import Report

command = typer.Typer(help="Fill stores from files and PostgreSQL. A running server need not stop.", no_args_is_help=True)


@command.command()
def files(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: txt, md, html, csv, jsonl, pdf.")],
    into: Into,
    json: Json = False,
) -> None:
    """Read files and folders into a store. Run it again after changes: only what changed is read anew."""
    out = Output(json=json)

    def work() -> int:
        from ingest.sync import ingest_files

        return _run(out, lambda home, settings, tools: [ingest_files(home, paths, into, **tools)])

    guarded(work, out)
