"""Which ports of this machine are free: asked by trying, on loopback."""

from __future__ import annotations

import socket
import sys

ANSWER_SECONDS = 3.0


def is_free(port: int, *, patience: float = ANSWER_SECONDS) -> bool:
    """Whether nobody listens on this port, on loopback or on all addresses. `patience`: seconds to wait for who doesn't answer."""
    with socket.socket() as asked:
        asked.settimeout(patience)
        if asked.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as wanted:
        if sys.platform != "win32":
            wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            wanted.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """A port that was free a moment ago, for a program that can't choose one by itself."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
