"""Giving way: a run in the background takes what the others on this machine leave over."""

from __future__ import annotations

import contextlib
import sys

import psutil


def lower() -> bool:
    """Lower this process's priority, and that of all it starts; whether the system let us."""
    process = psutil.Process()
    try:
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(10)
    except (psutil.Error, OSError):
        return False
    if sys.platform == "linux":
        with contextlib.suppress(psutil.Error, OSError):
            process.ionice(psutil.IOPRIO_CLASS_BE, 7)
    return True
