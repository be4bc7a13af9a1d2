"""Runs a program that can't outlive us: `python -I guard.py PROGRAM ARGUMENTS...`, with a pipe as standard input.

The program is ended when that pipe closes, which it does however its other end dies, and the guard leaves with the program's
status. On Linux the system ends the program also when the guard itself is killed. The standard library alone, for a quick start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

GRACE_SECONDS = 1.0


def _with_us() -> Callable[[], None] | None:
    """What a child does before it becomes the program; there is one thread here, so it may."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes
    import signal

    control, guard = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        control(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != guard:
            os._exit(1)

    return ask


def main() -> int:
    """Start it, wait for its end or for the pipe's."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_with_us())

    def watch() -> None:
        while os.read(0, 4096):
            pass
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    # As a shell tells it; a negative status can't be an exit status.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
