"""A vacuum in a process of its own, to be killed: `python vacuum_program.py HOME`."""

from __future__ import annotations

import sys
from pathlib import Path

from app.core.paths import Home
from ingest.keeping.vacuum import vacuum

vacuum(Home(Path(sys.argv[1])), lambda event: None)
print("done", flush=True)
