"""An ingest run in a process of its own, to be killed: `python ingest_program.py HOME FOLDER`. Says `done` at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from app.core.paths import Home
from ingest.report import Committed, Event
from ingest.run import Options
from ingest.sync import ingest_files
from models.embedder import Vectors
from models.hash_embedder import HashEmbedder, WordCounter


class SlowEmbedder(HashEmbedder):
    def passages(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.005)
        return super().passages(texts)


def tell(event: Event) -> None:
    if isinstance(event, Committed):
        print(f"committed {event.documents}", flush=True)  # in one piece, whenever this process is killed


if __name__ == "__main__":
    home, folder = Path(sys.argv[1]), Path(sys.argv[2])
    ingest_files(Home(home), [folder], "notes", SlowEmbedder(), WordCounter(), on_event=tell, options=Options(batch_chunks=8))
    print("done", flush=True)
