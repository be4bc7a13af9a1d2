"""Holds a network namespace open: `unshare --net python network_holder.py alone | captured FILE`, ended by closing its input.

    alone      loopback is all there is
    captured   besides, a wire `out` with addresses and default routes, whose other end lies in a second namespace, where every
               frame that comes over it is written to FILE, one line of hex each: what leaves is carried out and seen

Needs `ip`. Prints one line when all is set up.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

EVERY_PROTOCOL = 0x0003
OUTGOING = 4  # a frame that the listening end itself sent
OURS, GATEWAY = "198.51.100.2", "198.51.100.1"
OURS_SIX, GATEWAY_SIX = "2001:db8:77::2", "2001:db8:77::1"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)


def far_address() -> str:
    return Path("/sys/class/net/far/address").read_text(encoding="ascii").strip()


def wire(file: str) -> subprocess.Popen[str]:
    """Lay the wire; the child at its far end writes what it sees."""
    listener = subprocess.Popen(
        ["unshare", "--net", sys.executable, __file__, "far", file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert listener.stdout is not None
    assert listener.stdin is not None
    listener.stdout.readline()
    ip("link", "add", "out", "type", "veth", "peer", "name", "far")
    shown = subprocess.run(["ip", "-o", "link", "show", "far"], check=True, capture_output=True, text=True).stdout
    hardware = shown.partition("link/ether ")[2].split()[0]
    ip("link", "set", "far", "netns", str(listener.pid))
    listener.stdin.write("listen\n")
    listener.stdin.flush()
    listener.stdout.readline()
    # No address of the kernel's own making: less of its talk about neighbours.
    ip("link", "set", "out", "addrgenmode", "none")
    ip("addr", "add", f"{OURS}/24", "dev", "out")
    ip("link", "set", "out", "up")
    ip("route", "add", "default", "via", GATEWAY)
    # The gateway is known beforehand: a packet goes out as itself, and doesn't wait for somebody to answer.
    ip("neigh", "add", GATEWAY, "lladdr", hardware, "dev", "out", "nud", "permanent")
    if Path("/proc/net/if_inet6").exists():
        ip("-6", "addr", "add", f"{OURS_SIX}/64", "dev", "out", "nodad")
        ip("-6", "route", "add", "default", "via", GATEWAY_SIX, "dev", "out")
        ip("-6", "neigh", "add", GATEWAY_SIX, "lladdr", hardware, "dev", "out", "nud", "permanent")
    return listener


def listen(file: str) -> None:
    """The far end, until killed."""
    print("here", flush=True)
    sys.stdin.readline()
    ip("link", "set", "far", "addrgenmode", "none")
    ip("link", "set", "far", "up")
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL)) as ear,
        Path(file).open("w", encoding="ascii") as page,
    ):
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        ear.bind(("far", EVERY_PROTOCOL))
        print("listening", flush=True)
        while True:
            frame, address = ear.recvfrom(1 << 16)
            if address[2] != OUTGOING:
                page.write(frame.hex() + "\n")
                page.flush()


def main() -> None:
    if sys.argv[1] == "far":
        listen(sys.argv[2])
        return
    ip("link", "set", "lo", "up")
    listener = wire(sys.argv[2]) if sys.argv[1] == "captured" else None
    try:
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        if listener is not None:
            listener.kill()
            listener.wait()


if __name__ == "__main__":
    main()
