"""The server's process: one per home, its socket bound before anything else, its record written when it listens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn

from app.cli.output import Output
from app.core import logs, server_record
from app.core.collecting import settle
from app.core.credentials import api_key
from app.core.errors import BadSetting, Conflict, OndolError
from app.core.locks import FileLock
from app.core.paths import Home
from app.core.settings import load_settings

if TYPE_CHECKING:
    from app.main import Server

log = logging.getLogger(__name__)
GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 75


def run(out: Output, *, host: str | None, port: int | None, until_stdin_closes: bool) -> int:
    """Serve until interrupted. Conflict where another server has this home or this port."""
    home = Home.find()
    flags = {name: value for name, value in (("server.host", host), ("server.port", port)) if value is not None}
    settings = load_settings(home, environ=os.environ, flags=flags)
    logs.setup(home.logs, "server", settings.log.options)
    with _only_one(home), bound(settings.server.host, settings.server.port) as listening:
        from app.main import build

        server = build(home, settings)
        address, taken = listening.getsockname()[:2]
        records: list[server_record.ServerRecord] = []

        def ready() -> None:
            record = server_record.announce(
                home, host=address, port=taken, version=server.version, token=server.instance, network=settings.network
            )
            records.append(record)
            log.info("Ondol %s listens on %s, data in %s", server.version, record.address, home.root)
            out.data({"event": "listening", "url": record.address, "instance": server.instance, "pid": os.getpid()})
            out.text(f"Ondol listens on {record.address}/v1\nThe API key is {api_key(home)}\nCtrl-C ends it.")

        # uvicorn ends in order at SIGTERM and then sends it again, which would skip what comes after.
        signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            asyncio.run(_serve(server, listening, ready, until_stdin_closes))
        except KeyboardInterrupt:
            pass
        finally:
            log.info("stopped")
            for record in records:
                server_record.withdraw(home, record)
    if not records:
        raise OndolError("The server could not start.", hint=f"See {home.logs / 'server.log'}.")
    return 0


@contextlib.contextmanager
def _only_one(home: Home) -> Iterator[None]:
    running = server_record.running(home)
    if running is not None:
        raise Conflict(
            f"A server already runs over this data folder, at {running.address} (pid {running.pid}).",
            hint="Use it, stop it, or set ONDOL_HOME to another folder.",
        )
    with FileLock(home.locks / "server.lock", wait=5, who="a server"):
        yield


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Conflict where another program has the port; BadSetting where the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP: only then asyncio sets TCP_NODELAY on its connections, without which each answer waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        # There it would let two servers share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} is in use by another program.",
                hint=f"Try `ondol serve --port {port + 1}`, or --port 0 for a free one.",
                code="port_in_use",
                param=str(port),
            ) from None
        if error.errno == errno.EACCES:
            raise BadSetting(f"Port {port} may not be used by this user.", hint="Choose a port above 1023.") from None
        raise BadSetting(
            f"The address {host} can't be listened on: {error.strerror}.", hint="Set server.host to an address of this machine."
        ) from None
    with listening:
        yield listening


class _Server(uvicorn.Server):
    """Tells when it answers, and when it is about to end: before it waits for the answers under way."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._closing = ready, closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            settle()
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing()
        await super().shutdown(sockets)


async def _serve(server: Server, listening: socket.socket, ready: Callable[[], None], until_stdin_closes: bool) -> None:
    config = uvicorn.Config(
        server.app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        # The usual 5 s end between a person's two questions, and a client that sends just then finds its connection closed.
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
    serving = _Server(config, ready, server.closing)
    if until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, args=(asyncio.get_running_loop(), serving), daemon=True).start()
    await serving.serve(sockets=[listening])


def _stop_with_stdin(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> None:
    """Whoever started this server has gone, or closed its end of the pipe."""
    # Read below Python's buffer, whose lock a thread at its end must not hold.
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    loop.call_soon_threadsafe(setattr, server, "should_exit", True)
