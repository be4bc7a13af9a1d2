"""Without an icon: what a terminal, the journal and `systemctl --user status` read in its place."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable

from tray.face.words import Language, say
from tray.records import Server


class Journal:
    """One line for each change that a person would want to know; none where only a detail of the same state moved.

    `tell` may be called from any thread, and never fails its caller.
    """

    def __init__(
        self, language: Language, *, write: Callable[[str], None] | None = None, status: Callable[[str], None] | None = None
    ) -> None:
        self._language: Language = language
        self._write, self._status = write or _to_stderr, status or tell_systemd
        self._last = ""

    def tell(self, server: Server) -> None:
        """The server is so now."""
        line = said(server, self._language)
        if line != self._last:
            self._last = line
            self._write(line)
            self._status(line)


def said(server: Server, language: Language) -> str:
    """A state in one line: where it stands, its address, what is wrong."""
    line = say(f"state.{server.state}", language)
    if server.address:
        line += f" {server.address}"
    if server.problem is not None:
        line += f" - {say(server.problem.code, language, **server.problem.values)}"
    return line


if sys.platform == "win32":

    def tell_systemd(status: str, address: str | None = None) -> None:
        """There is no systemd here."""

else:

    def tell_systemd(status: str, address: str | None = None) -> None:
        """The line that `systemctl status` shows, where systemd started us (`address` is `NOTIFY_SOCKET`); nothing elsewhere."""
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        if not address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # An @ stands for the zero byte that begins an abstract name.
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(b"STATUS=" + status.replace("\n", " ").encode())


def _to_stderr(line: str) -> None:
    if sys.stderr is not None:  # a GUI program on Windows has none
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)  # noqa: T201  # the terminal is where it is read
