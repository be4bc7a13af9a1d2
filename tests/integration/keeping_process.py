"""A keeper in a process of its own, to be killed: `python keeping_process.py HOME`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.core.paths import Home
from ingest.keeping.keeper import Keeper, Pace

PROGRAM = Path(__file__).with_name("keeping_program.py")


async def main() -> None:
    keeper = Keeper(Home(Path(sys.argv[1])), line=[sys.executable, str(PROGRAM)], pace=Pace(look=0.05, quiet=0.1))
    await keeper.start()
    await asyncio.sleep(60)


asyncio.run(main())
