"""`ondol tray`: passes on to `ondol-tray`, which imports nothing of the command line."""

from __future__ import annotations

from typing import Annotated

import typer


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def tray(
        headless: Annotated[bool, typer.Option("--headless", help="Keep the server without an icon.")] = False,
        install: Annotated[
            bool, typer.Option("--install", help="Put Ondol among your programs; with --headless: start it with the machine.")
        ] = False,
        uninstall: Annotated[bool, typer.Option("--uninstall", help="Take that back; data stay.")] = False,
        language: Annotated[str, typer.Option(metavar="auto|en|ko", help="Of the menu, for this run.")] = "auto",
    ) -> None:
        """Start the tray icon, which starts the server and keeps an eye on it."""
        import os
        import subprocess
        import sys

        flags = {"--headless": headless, "--install": install, "--uninstall": uninstall}
        line = [sys.executable, "-P", "-m", "tray.main", *(flag for flag, given in flags.items() if given), "--language", language]
        if sys.platform != "win32":
            # The same process: a signal for this command reaches the tray, and nothing of the command line stays in memory.
            os.execv(sys.executable, line)  # noqa: S606  # our own program
        raise typer.Exit(subprocess.run(line, check=False).returncode)
