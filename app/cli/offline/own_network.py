"""A network of this process's own, with loopback and nothing else: Linux namespaces, by the C library's own call. Python 3.11 has none."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path

from app.core.errors import NotReady

NEW_USER, NEW_NET = 0x10000000, 0x40000000
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1


def leave() -> list[str]:
    """Move this process, and all that it starts from now on, out of every network; the devices that are left. NotReady says why it can't.

    To be called before the first thread. The files, the user and what he may do stay as they are.
    """
    if sys.platform != "linux":
        raise NotReady("Only Linux lets a process leave the network.", hint="Elsewhere: switch the network off and ask a question.")
    import fcntl  # Windows has none

    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if libc.unshare(NEW_NET):
            if libc.unshare(NEW_USER | NEW_NET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            # Each id as itself: files keep their owner.
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            asked = struct.pack("16sH22x", b"lo", 0)
            flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, GET_FLAGS, asked))[1]
            fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH22x", b"lo", flags | UP))
    except OSError as error:
        raise NotReady(
            f"This system lets this user make no network of his own: {error.strerror}.",
            hint="Allow user namespaces, or run it as root.",
        ) from None
    return sorted(name for _, name in socket.if_nameindex())
