"""Is the server well? Asked over HTTP on this machine, never through a proxy, within a time that holds for all of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import psutil

from app.core.errors import OndolError
from tray.keeping.events import Health
from tray.reach import server_at

LARGEST = 256 * 1024  # bytes of an answer


def ask(address: str, token: str, *, seconds: float) -> Health:
    """/health/ready; where that says nothing, /health/live. Takes at most `seconds` for each."""
    ready = get(address, "/health/ready", seconds=seconds)
    if ready is not None and ready[0] == 200:
        body = ready[1]
        if not token or body.get("instance") != token:
            return Health("other")
        return Health("ready", version=str(body.get("version") or ""), busy=_busy(body))
    live = get(address, "/health/live", seconds=seconds)
    return Health("live" if live is not None and live[0] == 200 else "silent")


def instance(address: str, *, seconds: float) -> str:
    """The token of the Ondol that answers there; "" where none does."""
    found = get(address, "/health/ready", seconds=seconds)
    return str(found[1].get("instance") or "") if found is not None else ""


def get(address: str, path: str, *, seconds: float) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON body, {} where it is none; None where nothing answered in time."""
    place = urlsplit(address)
    if not place.hostname or not place.port:
        return None
    # http.client asks no proxy. Its time-out is for each read: one that drips would hold us for ever, so the whole has an end too.
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=seconds)
    began = time.monotonic()
    try:
        with server_at(address):
            connection.connect()
        cut = threading.Timer(max(0.1, seconds - (time.monotonic() - began)), _cut, [connection.sock])
        cut.daemon = True
        cut.start()
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            data = response.read(LARGEST)
        finally:
            cut.cancel()
    except (OSError, http.client.HTTPException, OndolError):
        return None  # OndolError: the guard's
    finally:
        connection.close()
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    return response.status, body if isinstance(body, dict) else {}


def holder(port: int) -> str | None:
    """The name of the program that listens on a port: "" where this user may not know, None where nobody does."""
    pid = _listener(port)
    if pid:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).name()
    return "" if pid is not None or not free(port) else None


def free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
            tried.listen(1)
        except OSError:
            return False
    return True


def _listener(port: int) -> int | None:
    """The process; 0 where it is not to be known."""
    try:
        found = psutil.net_connections(kind="tcp")
    except psutil.Error:  # macOS: for root alone
        return None
    listening = [one for one in found if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port]
    return next((one.pid for one in listening if one.pid), 0) if listening else None


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _busy(body: dict[str, Any]) -> int:
    parts = body.get("parts")
    engine = parts.get("engine") if isinstance(parts, dict) else None
    counts = [engine.get(name) for name in ("running", "waiting")] if isinstance(engine, dict) else []
    return sum(count for count in counts if isinstance(count, int))
