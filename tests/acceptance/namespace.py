"""Networks that end at this machine, for the tests that nothing leaves it: real programs run in a Linux network namespace.

    with loopback_alone() as inside:          # no route, no device but loopback
        inside.run([sys.executable, "-m", "app.cli", "ask", "..."])

    with captured() as inside:                # a default route into a wire, and whoever listens at its end
        inside.run([...])
        assert inside.departed() == []        # every packet that left, in words

Files, pipes and local sockets with a path go in and out as ever; ports of the host are out of reach. Where this user can make
namespaces a test must run: it is skipped only where none can be made.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

HOLDER = Path(__file__).with_name("network_holder.py")
MARK = ("192.0.2.254", 9)
# What a kernel says about neighbours and multicast groups as soon as a wire has an IPv6 address. It carries nothing of a program's.
NEIGHBOUR_TALK = {130, 131, 132, 133, 134, 135, 136, 143}
ETHERNET, ICMP_SIX, HOP_BY_HOP, UDP = 14, 58, 0, 17
_AS_ROOT = ("unshare", "--net")
_AS_USER = ("unshare", "--user", "--map-root-user", "--net")


@functools.cache
def _way_in() -> tuple[str, ...]:
    """How this user makes a namespace; skips the test where none can be made."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (Debian: apt install util-linux iproute2)")
    told = ""
    for way in (_AS_ROOT, _AS_USER):
        tried = subprocess.run([*way, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return way
        told = tried.stderr.strip()
    pytest.skip(f"this user can make no network namespace: {told}")


class Inside:
    """A network namespace. `enter` are the words to put before a command that shall run in it."""

    def __init__(self, enter: tuple[str, ...]) -> None:
        self.enter = enter

    def run(self, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """A command to its end, its output as text."""
        return subprocess.run([*self.enter, *command], **{"check": False, "capture_output": True, "text": True, **options})

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
        """A command in the background; the namespace's end does not end it."""
        return subprocess.Popen([*self.enter, *command], **{"text": True, **options})


class Captured(Inside):
    """A namespace with a way out, whose end we hold."""

    def __init__(self, enter: tuple[str, ...], file: Path) -> None:
        super().__init__(enter)
        self._file = file

    def send(self, host: str, port: int, payload: bytes = b"x") -> None:
        """One UDP datagram from inside, as any program could send it."""
        family = "AF_INET6" if ":" in host else "AF_INET"
        code = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM).sendto({payload!r}, ({host!r}, {port}))"
        done = self.run([sys.executable, "-c", code])
        assert done.returncode == 0, done.stderr

    def departed(self, seconds: float = 20) -> list[str]:
        """Every packet that left so far, in words. All of them: a last one of our own is sent, and waited for."""
        mark = uuid.uuid4().bytes
        self.send(*MARK, mark)
        end = time.monotonic() + seconds
        frames = self._frames()
        while not any(mark in frame for frame in frames):
            assert time.monotonic() < end, "the capture does not see what is sent"
            time.sleep(0.05)
            frames = self._frames()
        return [said for frame in frames if (said := departure(frame))]

    def _frames(self) -> list[bytes]:
        lines = self._file.read_text(encoding="ascii").splitlines(keepends=True)
        return [bytes.fromhex(line) for line in lines if line.endswith("\n")]


def departure(frame: bytes) -> str:
    """A frame in words: protocol, destination, first bytes; empty for this file's own marks and for the kernel's neighbour talk."""
    kind, packet = int.from_bytes(frame[12:14], "big"), frame[ETHERNET:]
    if kind == 0x0800:
        protocol, to, body = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[(packet[0] & 15) * 4 :]
    elif kind == 0x86DD:
        protocol, to, body = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
        if protocol == HOP_BY_HOP:  # multicast reports carry a router alert first
            protocol, body = body[0], body[(body[1] + 1) * 8 :]
        if protocol == ICMP_SIX and body[:1] and body[0] in NEIGHBOUR_TALK:
            return ""
    else:
        return f"ethernet {kind:#06x} {packet[:40].hex()}"
    port = int.from_bytes(body[2:4], "big") if protocol in (6, UDP) else 0
    if protocol == UDP and (to, port) == MARK:
        return ""
    return f"protocol {protocol} to {to} port {port}: {body[8:48]!r}"


@contextlib.contextmanager
def loopback_alone() -> Iterator[Inside]:
    """A namespace that has loopback and nothing else."""
    with _held("alone") as enter:
        yield Inside(enter)


@contextlib.contextmanager
def captured() -> Iterator[Captured]:
    """A namespace whose every packet outwards is seen."""
    with tempfile.TemporaryDirectory(prefix="captured") as folder:
        file = Path(folder) / "frames"
        with _held("captured", str(file)) as enter:
            yield Captured(enter, file)


@contextlib.contextmanager
def _held(*words: str) -> Iterator[tuple[str, ...]]:
    way = _way_in()
    holder = subprocess.Popen([*way, sys.executable, HOLDER, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        # A namespace can be made here: one that can't be set up is a failure, no reason to skip.
        assert holder.stdout.readline() == "ready\n", "the network namespace was not set up"
        target = ("--target", str(holder.pid), "--net")
        yield ("nsenter", *target, "--") if way == _AS_ROOT else ("nsenter", "--preserve-credentials", "--user", *target, "--")
    finally:
        holder.stdin.close()
        holder.wait(20)
