"""The way to our own server, also where the settings (`server.host`) let it listen on an address of this machine's network."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.core import egress
from app.core.hosts import is_this_machine


@contextlib.contextmanager
def server_at(address: str) -> Iterator[None]:
    """While it is open, the guard lets this process reach the host and port of `address` beside loopback, and nothing else.

    OSError where the host is not this machine: an address that a network gave us for a while may be another's by now.
    """
    place = urlsplit(address)
    host = place.hostname or ""
    if is_this_machine(host):
        yield
        return
    with egress.allow(place.netloc):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as ours:
            ours.bind((host, 0))  # nobody can on an address of another machine
        yield
