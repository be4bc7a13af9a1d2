"""Workers over `worker_program.py`, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

import psutil
import pytest

from app.core.workers.parent import Worker

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="speaks of signals, or of the C library by its POSIX name")


MakeWorker = Callable[..., Worker]


async def gone(pid: int) -> bool:
    """Whether the process ends within ten seconds."""
    for _ in range(200):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.05)
                continue
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
