"""What the running server says of itself in `server.json`, so that the tray and the command line find it.

A record counts only while the very process that wrote it lives: a process id alone may have been given to another since.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

import msgspec
import psutil

from app.core import atomic_file
from app.core.hosts import normal
from app.core.paths import Home


class ServerRecord(msgspec.Struct, frozen=True):
    """One running server. `born` tells its process from a later one with the same id; `token` is in its health answers.

    `network` is the policy that it was started with: the settings may have been changed since.
    """

    pid: int
    born: float
    host: str
    port: int
    token: str
    version: str
    network: str = ""

    @property
    def address(self) -> str:
        """`http://host:port` for a client on this machine (a server on all addresses answers on loopback)."""
        host = normal(self.host)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def announce(home: Home, *, host: str, port: int, version: str, token: str = "", network: str = "") -> ServerRecord:
    """Write the record of this process; `token` is the one in its health answers, a new one where none is given."""
    pid = os.getpid()
    record = ServerRecord(pid, born(pid) or 0.0, host, port, token or secrets.token_urlsafe(16), version, network)
    atomic_file.write(home.server, msgspec.json.encode(record).decode())
    return record


def running(home: Home) -> ServerRecord | None:
    """The server of this home; None where none runs (no record, a torn one, or one whose process has ended)."""
    try:
        record = msgspec.json.decode(home.server.read_bytes(), type=ServerRecord)
    except (OSError, msgspec.MsgspecError):
        return None
    began = born(record.pid)
    # Half a second: some systems tell a process's start in seconds, and floats.
    return record if began is not None and abs(began - record.born) < 0.5 else None


def withdraw(home: Home, record: ServerRecord) -> None:
    """Remove the record at the end, unless another server has written its own meanwhile."""
    if running(home) == record:
        with contextlib.suppress(OSError):
            home.server.unlink(missing_ok=True)


if sys.platform == "linux":

    def born(pid: int) -> float | None:
        """Seconds from boot to a process's begin; None where it has ended. psutil's own count moves when the clock is set."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else int(fields[19]) / os.sysconf("SC_CLK_TCK")

else:

    def born(pid: int) -> float | None:
        """When a process began; None where it has ended."""
        try:
            return psutil.Process(pid).create_time()
        except psutil.Error:
            return None
