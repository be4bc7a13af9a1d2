"""The running server as the bootstrap sees it: a port, an address, a few HTTP calls. Only ever on this machine."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

HOST = "127.0.0.1"
# A proxy of the company has no business between two programs of one machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port(wanted: int, *, tries: int = 50) -> int:
    """`wanted`, or the next port above it that nobody listens on; any free one where all `tries` are taken."""
    for port in range(wanted, min(wanted + tries, 65536)):
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let two programs have one port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # A port that a server has just left is free, though its old connections linger.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Server:
    """A few calls to the server on `port`."""

    def __init__(self, port: int, key: str = "") -> None:
        self.port, self.key = port, key

    @property
    def address(self) -> str:
        """What clients are told."""
        return f"http://{HOST}:{self.port}"

    def answers(self, path: str = "/health/ready") -> bool:
        """Whether it says 200 there, within five seconds."""
        try:
            with _opener.open(f"{self.address}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def parts(self) -> dict[str, Any]:
        """What the server says of its parts; nothing where it doesn't answer."""
        try:
            with _opener.open(f"{self.address}/health/ready", timeout=5) as answer:
                return dict(json.load(answer).get("parts", {}))
        except (OSError, ValueError):
            return {}

    def stream(self, body: dict[str, Any], *, timeout: float = 300.0) -> Iterator[dict[str, Any]]:
        """The events of a streamed chat. `timeout` seconds may pass between two of them."""
        request = urllib.request.Request(  # noqa: S310 -- our own server's address
            f"{self.address}/v1/chat/completions",
            data=json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode(),
            headers={"authorization": f"Bearer {self.key}", "content-type": "application/json"},
        )
        with _opener.open(request, timeout=timeout) as answer:
            for line in answer:
                if line.startswith(b"data:") and b"[DONE]" not in line:
                    yield json.loads(line[5:])
