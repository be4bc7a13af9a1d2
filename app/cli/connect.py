"""`ondol connect`: what other programs on this machine need to speak to us."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.chat_page.connection import Change, Connection
    from app.core.paths import Home

command = typer.Typer(help="Connect other programs on this machine.", no_args_is_help=True)


@command.callback()
def connect() -> None:
    """Connect other programs on this machine."""


@command.command("open-webui")
def open_webui(
    write: Annotated[bool, typer.Option("--write", help="Set the connection in Open WebUI's database; it may be running.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Open WebUI's data folder: the one that holds webui.db.")
    ] = None,
    json: Json = False,
) -> None:
    """Print all that an Open WebUI needs to speak to this server and to nobody else; or set it with --write."""
    out = Output(json=json)

    def work() -> None:
        import os

        from app.core.paths import Home

        home = Home.find()
        wanted = _wanted(home)
        if not write:
            _show(wanted, out)
            return
        from app.chat_page import database

        path = database.locate(data_dir, os.environ, home.root / "open-webui" / "data")
        _tell(path, wanted, database.connect(path, wanted), out)

    guarded(work, out)


def _wanted(home: Home) -> Connection:
    """The running server's address, else the one that the settings give it."""
    import os

    from app.chat_page.connection import Connection
    from app.core.credentials import api_key
    from app.core.errors import NotReady
    from app.core.server_record import ServerRecord, running
    from app.core.settings import load_settings

    record = running(home)
    if record is None:
        server = load_settings(home, environ=os.environ).server
        if server.port == 0:
            raise NotReady(
                "No server runs, and its port is chosen anew at each start (server.port is 0).", hint="Start `ondol serve` first."
            )
        record = ServerRecord(0, 0.0, server.host, server.port, "", "")
    return Connection(f"{record.address}/v1", api_key(home))


def _show(wanted: Connection, out: Output) -> None:
    import json
    import sys

    from app.chat_page.connection import FROM_DOCKER, HEADERS, PROVIDER, from_docker
    from app.chat_page.environment import connected, exports, offline

    variables = {**connected(wanted), **offline()}
    out.data(
        {
            "address": wanted.address,
            "key": wanted.key,
            "provider": PROVIDER,
            "connection_type": "local",
            "headers": HEADERS,
            "environment": variables,
            "docker": {
                "address": from_docker(wanted.address),
                "settings": {"server.allowed_hosts": [FROM_DOCKER], "server.host": "0.0.0.0"},  # noqa: S104  # told, not bound
            },
        }
    )
    out.text(
        "# For an Open WebUI that is started for the first time, in the same shell before `open-webui serve --host 127.0.0.1`:\n\n"
        + "\n".join(exports(variables, windows=sys.platform == "win32"))
        + f"""

# For one that has settings already: `ondol connect open-webui --write --data-dir DIR` (DIR holds its webui.db), or by hand:
#   Admin Settings, Connections, OpenAI API, + (Add Connection)
#     Connection Type  Local
#     URL              {wanted.address}
#     Auth             Bearer, with the key in OPENAI_API_KEYS above
#     Provider         {PROVIDER}
#     Headers          {json.dumps(HEADERS)}
#                      (without them there are no citations and no progress)
#   Save. A connection to api.openai.com that stands there from the beginning asks outside whenever a page opens: switch it off.
#   OFFLINE_MODE and what follows it above count at every start: set them in its environment.
#
# For one in Docker: on Linux run it with --network host, and all of the above holds. Else the URL is
#     {from_docker(wanted.address)}
#   and config.yaml needs
#     server: {{allowed_hosts: [{FROM_DOCKER}]}}
#   (on Linux without --network host also `host: 0.0.0.0`, which lets other machines in too, with the key.)"""
    )


def _tell(path: Path, wanted: Connection, change: Change, out: Output) -> None:
    """What was there, and what is now; never a key."""
    out.data(
        {
            "database": str(path),
            "address": wanted.address,
            "changed": list(change.reasons),
            "before": list(change.before),
            "outside": list(change.outside),
        }
    )
    if change.rows:
        out.text(f"Connected: {path}\n  to      {wanted.address} ({'; '.join(change.reasons)})")
        out.text(f"  before  {', '.join(change.before) or 'no connections'}")
        out.text("Open pages show its models after they are loaded again.")
    else:
        out.text(f"Already connected to {wanted.address}: nothing was changed in {path}.")
    for url in change.outside:
        out.note(
            f"Note: {url} is outside of this machine, and is asked whenever a page opens. Switch it off in Admin Settings, Connections."
        )
