"""Every connect and every send of a command and all its children, as the kernel was asked for it (strace)."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INTERNET = re.compile(r"\{sa_family=AF_INET6?, sin6?_port=htons\((\d+)\),.*?(?:inet_addr\(|inet_pton\(AF_INET6, )\"([^\"]+)\"")
FAMILY = re.compile(r"sa_family=(AF_\w+)")
LOCAL = {"AF_UNIX", "AF_NETLINK", "AF_UNSPEC"}  # AF_NETLINK asks the kernel for routes and addresses; AF_UNSPEC lets a socket go


def traced(command: list[str], page: Path) -> list[str]:
    """What strace writes of a command and all its children: one call a line."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian: apt install strace)")
    line = ["strace", "-f", "--seccomp-bpf", "-s", "64", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(page)]
    if (tried := subprocess.run([*line, "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"this user can't trace programs: {tried.stderr.strip()}")
    done = subprocess.run([*line, *command], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return page.read_text(encoding="utf-8", errors="replace").splitlines()


def outward(lines: list[str]) -> list[str]:
    """The calls that name an address beyond this machine, and those of families that are not known to stay on it."""
    found = []
    for line in lines:
        far = [address for _, address in INTERNET.findall(line) if not ipaddress.ip_address(address).is_loopback]
        families = set(FAMILY.findall(line)) - LOCAL - {"AF_INET", "AF_INET6"}
        if far or families:
            found.append(line)
    return found
