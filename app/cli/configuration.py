"""`ondol config ...`: whether the settings are right, and what they are."""

from __future__ import annotations

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded

command = typer.Typer(help="Check and show the settings.", no_args_is_help=True)


@command.command()
def check(json: Json = False) -> None:
    """Read the settings and say every mistake with its line. Exit status 78 where there is one."""
    out = Output(json=json)

    def work() -> None:
        import os

        from app.core.paths import Home
        from app.core.settings import load_settings

        home = Home.find()
        load_settings(home, environ=os.environ, flags={})
        out.data({"config": str(home.config), "present": home.config.exists(), "ok": True})
        out.text(f"{home.config} is right." if home.config.exists() else f"There is no {home.config}: every setting has its default.")

    guarded(work, out)


@command.command()
def show(json: Json = False) -> None:
    """Show every setting as it holds now: file, environment and defaults together, secrets hidden."""
    out = Output(json=json)

    def work() -> None:
        import os

        from app.core.paths import Home
        from app.core.settings import dump, load_settings, redacted

        settings = load_settings(Home.find(), environ=os.environ, flags={})
        out.data(redacted(settings))
        out.text(dump(redacted(settings)).rstrip())

    guarded(work, out)
