"""`ondol tray`."""

from __future__ import annotations

import typer


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def tray() -> None:
        """Start the tray icon, which starts the server and keeps an eye on it."""
        import subprocess
        import sys

        raise typer.Exit(subprocess.run([sys.executable, "-m", "tray.main"], check=False).returncode)
