"""Ingests a folder in a process of its own and prints what came of it, and the most memory that it and its children took."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from app.core.paths import Home
from ingest.readers.contract import Limits
from ingest.run import Options
from ingest.sync import ingest_files
from models.hash_embedder import HashEmbedder, WordCounter


def main(home: str, folder: str) -> None:
    ended = threading.Event()

    def grow() -> None:
        with (Path(folder) / "growing.txt").open("a") as file:
            while not ended.wait(0.0005):
                file.write(" More.")
                file.flush()

    threading.Thread(target=grow, daemon=True).start()
    began = time.monotonic()
    limits = Limits(seconds=30, memory_bytes=300_000_000)
    report = ingest_files(Home(Path(home)), [Path(folder)], "hostile", HashEmbedder(), WordCounter(), options=Options(limits=limits))
    ended.set()
    print(
        json.dumps(
            {
                "failed": [[item.item, item.reason] for item in report.failed],
                "added": report.added,
                "error": report.error,
                "seconds": time.monotonic() - began,
                "megabytes": peaks(),
            }
        )
    )


def peaks() -> list[float]:
    if sys.platform == "win32":
        return []
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (resource.getrusage(who).ru_maxrss * unit / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    status = Path("/proc/self/status")
    if status.exists():  # Linux's own count begins with what the process was that started this one
        own = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024 / 1e6
    return [own, children]


if __name__ == "__main__":
    main(*sys.argv[1:])
