"""What of this machine's ports answers, and to whom: HTTP on loopback, past every proxy."""

from __future__ import annotations

import http.client
import sys
import webbrowser
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.core import ports

ANSWER_SECONDS = 3.0
NEARBY = 50  # ports that are tried beside the wanted one
CONSOLE_OS = ("linux", "freebsd", "openbsd", "netbsd")


def get(url: str, *, host: str = "") -> tuple[int, bytes] | None:
    """Status and body of a GET; None where nothing answers. `host` stands in the Host header instead of the address."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path or "/", headers={"host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def is_page(url: str) -> bool:
    """Whether an Open WebUI answers there."""
    answer = get(f"{url}/health")
    return answer is not None and answer[0] == 200 and b'"status"' in answer[1] and b"true" in answer[1]


def free_port(wanted: int) -> int:
    """A free port near the wanted one, else any."""
    for port in range(wanted + 1, min(wanted + NEARBY, 65536)):
        if ports.is_free(port):
            return port
    return ports.any_free()


def has_browser(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can show itself: on Linux without a screen, one in the terminal would take it over."""
    return not platform.startswith(CONSOLE_OS) or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def open_browser(url: str, environ: Mapping[str, str]) -> bool:
    """Show the page; False where that can't be done."""
    try:
        return has_browser(environ) and webbrowser.open(url)
    except webbrowser.Error:
        return False
