"""What is open now: every internet socket of the running server and of the processes that it started, with its other end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from app.cli.offline.allowed import ANY
from app.cli.offline.report import Check
from app.core.hosts import is_this_machine
from app.core.server_record import ServerRecord

ROLES = {
    "models.engine.worker": "engine worker",
    "models.embed_worker": "embedding worker",
    "ingest.index.worker": "index worker",
    "ingest.index.probe": "index probe",
    "models.pull.child": "download",
}


End = tuple[str, int] | tuple[()]


@dataclass(frozen=True)
class Open:
    """One socket; `peer` is empty where it has no other end (it listens, or may send anywhere)."""

    kind: str
    local: End
    peer: End


def checks(server: ServerRecord | None, may_reach: Callable[[str, int], bool], network: str) -> Iterator[Check]:
    """One check per process. `may_reach` is the policy's word on a far end."""
    if server is None:
        yield Check("the server", True, "no server runs over this data folder: nothing is open")
        return
    if server.network != network:
        yield Check(
            "the running server's policy",
            False,
            f"it was started with `network: {server.network or 'unknown'}`, the settings say {network}",
            "Restart the server.",
        )
    for process, role in family(server.pid):
        name = f"{role} (pid {process.pid})"
        try:
            found = [Open(_kind(one.type), _end(one.laddr), _end(one.raddr)) for one in process.net_connections("inet")]
        except psutil.NoSuchProcess:
            continue
        except (psutil.AccessDenied, OSError) as error:
            yield Check(name, False, f"its sockets can't be looked at ({type(error).__name__})", "Run this as the server's own user.")
            continue
        others_may_call = server.host in ANY or not is_this_machine(server.host)
        served = server.port if role == "server" and others_may_call else 0
        yield judged(name, found, may_reach, served=served, asked_for=role == "download" and network == "configured")


def family(pid: int) -> list[tuple[psutil.Process, str]]:
    """A server's process and all below it, each with what it does."""
    try:
        server = psutil.Process(pid)
        return [(server, "server"), *((child, _role(child)) for child in server.children(recursive=True))]
    except psutil.Error:
        return []


def _role(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        words = []
    return next((role for module, role in ROLES.items() if module in words), words[0] if words else "a process of the server's")


def judged(name: str, found: list[Open], may_reach: Callable[[str, int], bool], *, served: int, asked_for: bool) -> Check:
    """The sockets of one process. `served`: the port on which other machines may call; `asked_for`: it is a download. Pure."""
    far, near, told = [], 0, []
    if listening := sorted({_place(one.local) for one in found if not one.peer}):
        told.append(f"listens on {', '.join(listening)}")
    for one in found:
        if not one.peer:
            continue
        host, port = one.peer
        if is_this_machine(host) or (host,) == one.local[:1]:
            near += 1
        elif served and served in one.local:
            told.append(f"serves a client at {host}")
        elif may_reach(host, port):
            told.append(f"reaches {_place(one.peer)}, which the configuration names")
        elif asked_for:
            told.append(f"fetches a model from {_place(one.peer)}")
        else:
            far.append(f"{one.kind} to {_place(one.peer)}")
    told.append(f"{near} connections on this machine" if near else "no connection")
    if far:
        return Check(name, False, f"is connected beyond what is allowed: {', '.join(sorted(far))}", "Stop the server and report this.")
    return Check(name, True, "; ".join(dict.fromkeys(told)))


def _kind(type: int) -> str:
    return "UDP" if type == socket.SOCK_DGRAM else "TCP"


def _end(address: Any) -> End:
    return (str(address.ip), int(address.port)) if address else ()


def _place(address: End) -> str:
    host, port = address or ("?", 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
