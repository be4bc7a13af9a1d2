"""`ondol open-webui`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command("open-webui")
    def open_webui(
        port: Annotated[int, typer.Option(min=1, max=65535, help="The page's port on this machine.")] = 8080,
        no_browser: Annotated[bool, typer.Option("--no-browser", help="Don't open a browser.")] = False,
        no_login: Annotated[bool, typer.Option("--no-login", help="No accounts: for a machine that one person uses.")] = False,
        path: Annotated[
            Path | None, typer.Option("--path", metavar="PROGRAM", help="The program open-webui, or the folder of its environment.")
        ] = None,
        docker: Annotated[bool, typer.Option("--docker", help="Take the image that a docker engine has.")] = False,
        wait: Annotated[float, typer.Option(min=1, help="Seconds that it may take to answer.")] = 180.0,
        json: Json = False,
        until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
        server: Annotated[str, typer.Option(hidden=True)] = "",
    ) -> None:
        """Start an Open WebUI found on this machine, connected and offline, and open it. Ctrl-C ends it.

        Looks in the folder `open-webui` of the data folder, beside this program, on PATH, and in Docker. Starts a server where none runs.
        """
        out = Output(json=json)

        def work() -> int:
            import contextlib
            import os
            import threading

            from app.chat_page.page import Page, Wish
            from app.core.paths import Home
            from app.core.settings import load_settings

            home, stop = Home.find(), threading.Event()
            _end_with(stop, until_stdin_closes)

            def tell(event: str, values: dict[str, Any], text: str) -> None:
                # Whoever listened may have been killed, and the terminal closed: the page is to be ended all the same.
                with contextlib.suppress(OSError):
                    out.data({"event": event, **values})
                    out.text(text)

            wish = Wish(port=port, login=not no_login, browser=not no_browser, docker=docker, path=path, seconds=wait, server=server)
            Page(home, load_settings(home, environ=os.environ), wish, tell, stop).run()
            return 0

        guarded(work, out)


def _end_with(stop: Any, until_stdin_closes: bool) -> None:
    """Ctrl-C, a polite end, a closed terminal: all end the page in order. The tray closes our standard input."""
    import signal
    import threading

    def end(*_: object) -> None:
        # Not set here: the main thread, which runs this, may hold the event's own lock, and would wait for itself.
        threading.Thread(target=stop.set, daemon=True).start()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, end)
    if until_stdin_closes:
        from app.cli import stdin

        stdin.when_closed(stop.set)
