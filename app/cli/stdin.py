"""A command whose standard input is a pipe from its starter: when that closes, whoever started it has gone, or wants its end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable


def when_closed(do: Callable[[], None]) -> None:
    """Call `do`, on a thread of its own, as soon as standard input is at its end."""

    def watch() -> None:
        # Read below Python's buffer, whose lock a thread at its end must not hold.
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        do()

    threading.Thread(target=watch, name="stdin", daemon=True).start()
