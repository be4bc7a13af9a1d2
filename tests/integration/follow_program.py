"""One sync of a followed table in a process of its own, which dies at a moment: `python follow_program.py HOME DSN MOMENT`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from follow_world import Followed

from ingest.book.writer import Writer
from ingest.postgres.slot import Slot

MOMENTS: dict[str, tuple[type, str]] = {
    "before it reads": (Slot, "peek"),
    "before the commit": (Writer, "commit"),
    "before the deletion": (Writer, "delete"),
    "before the slot moves on": (Slot, "advance"),
    "when the slot is made": (Slot, "make"),
}


def die(*_: Any, **__: Any) -> None:
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


if __name__ == "__main__":
    home, dsn, moment = sys.argv[1:]
    owner, name = MOMENTS[moment]
    setattr(owner, name, die)
    Followed(Path(home), dsn, text=("a",)).sync()
