"""Why a server's process ended, read from its exit status, what it said, and the last lines that it printed. Pure."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from app.core.redaction import redact
from tray.keeping.events import Ending

LONGEST, READ = 200, 1000  # characters of a line in a menu; of one that is looked through for secrets, which takes its square
# Signals and what Windows gives a program that a logout or Ctrl-C ends.
_ORDERED = frozenset({0, -int(signal.SIGTERM), -int(signal.SIGINT), -1, 129, 130, 143, 0xC000013A, -1073741510})
_FULL = ("no space left on device", "disk quota exceeded", "not enough space on the disk", "disk is full")


def read(status: int, error: dict[str, Any] | None, tail: Sequence[str]) -> Ending:
    """`error` is OpenAI's error body where the server printed one; `tail` its last lines on standard error."""
    error = error or {}
    said, code = str(error.get("message") or ""), str(error.get("code") or "")
    last = said or next((line.strip() for line in reversed(tail) if line.strip()), "") or _how(status)
    detail = redact(last[:READ])[:LONGEST]
    if status == 78:
        return Ending("settings", detail)
    if status == 74 or any(words in line.lower() for line in (said, *tail[-5:]) for words in _FULL):
        return Ending("disk", detail)
    if status == 75 and code == "port_in_use":
        port = str(error.get("param") or "")
        return Ending("port", detail, int(port) if port.isdecimal() else 0)
    if status == 75 and code == "newer_data":
        return Ending("newer", detail)
    if status == 75 and code == "conflict":
        return Ending("conflict", detail)
    if status in _ORDERED:
        return Ending("ordered", detail)
    return Ending("crash", detail)


def _how(status: int) -> str:
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"status {status}" if status < 256 else f"status {status:#x}"  # Windows names its crashes in hex
