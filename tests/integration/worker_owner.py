"""A parent that starts one worker, says its process id, and then waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.core.workers.parent import Worker


async def main() -> None:
    worker = Worker("orphan", "worker_program", {"ignore_sigterm": True}, logs=Path(sys.argv[1]))
    print((await worker.start())["pid"], flush=True)
    await worker.call(sys.argv[2])


asyncio.run(main())
