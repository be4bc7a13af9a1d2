"""A sync of a table in a process of its own, to be killed: `python postgres_program.py HOME DSN`. Says `done` at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from app.core.paths import Home
from ingest.postgres.asked import Asked
from ingest.report import Committed, Event
from ingest.run import Options
from ingest.sync import ingest_postgres
from models.embedder import Vectors
from models.hash_embedder import HashEmbedder, WordCounter


class SlowEmbedder(HashEmbedder):
    def passages(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.003)
        return super().passages(texts)


def tell(event: Event) -> None:
    if isinstance(event, Committed):
        print("committed", event.documents, flush=True)


if __name__ == "__main__":
    home, dsn = Path(sys.argv[1]), sys.argv[2]
    options = Options(batch_chunks=8, allow_delete=True)
    ingest_postgres(Home(home), dsn, Asked(tables=("things",)), "shop", SlowEmbedder(), WordCounter(), on_event=tell, options=options)
    print("done", flush=True)
