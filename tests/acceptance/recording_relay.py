"""A relay of bytes in front of a server, which remembers every request that went through it.

It forwards at once and closes when either side closes, so that a client's leaving reaches the server as it would without it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

CHUNK = 65536


@dataclass(frozen=True)
class Request:
    """One HTTP request as it went over the wire; `at` is the monotonic second of its last byte."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        """Its body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Relay:
    """Listens on a free port of this machine and forwards to `port`. `replaced` swaps bytes of requests for others as long."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._requests: list[Request] = []
        self.replaced: tuple[bytes, bytes] = (b"", b"")
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where its clients turn to."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self, path: str = "") -> list[Request]:
        """What went through so far, in order; of one path where it is named."""
        return [request for request in list(self._requests) if not path or request.path == path]

    def forget(self) -> None:
        """Begin a new record."""
        self._requests.clear()

    @contextmanager
    def replacing(self, old: str, new: str) -> Iterator[None]:
        """Requests carry `new` in the place of `old` for as long as the block runs."""
        assert len(old) == len(new)
        self.replaced = (old.encode(), new.encode())
        try:
            yield
        finally:
            self.replaced = (b"", b"")

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the server is away: its client sees the connection end
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._upwards, args=(client, server), daemon=True).start()
            threading.Thread(target=self._downwards, args=(server, client), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        reader = _Reader()
        with suppress(OSError):
            while data := client.recv(CHUNK):
                old, new = self.replaced
                server.sendall(data.replace(old, new) if old else data)
                self._requests += reader.feed(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _downwards(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                client.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Reader:
    """Cuts the bytes of one connection into requests. Bodies come with their length, as HTTP clients of JSON send them."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that these bytes complete."""
        self._held += data
        found = []
        while b"\r\n\r\n" in self._held:
            head, _, rest = self._held.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                break
            method, path, _ = first.split(" ", 2)
            found.append(Request(method, path, headers, rest[:length], time.monotonic()))
            self._held = rest[length:]
        return found
