"""A store is embedded anew in a process of its own, to be killed: `python generation_program.py HOME`. Says `done` at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from app.core.paths import Home
from ingest.embedders import Embedders
from ingest.generations import Renewing
from ingest.report import Event
from ingest.sync import sync
from models.embedder import Embedder, Vectors
from models.hash_embedder import HashEmbedder, WordCounter

OLD, NEW = ("old", 64), ("new", 96)


def make(name: str, dimensions: int) -> HashEmbedder:
    return HashEmbedder(dimensions, name=name)


def both(now: Embedder, *others: Embedder) -> Embedders:
    """`now` is in use, the others are installed."""
    known = {other.info.fingerprint: other for other in others}
    return Embedders(lambda: now, lambda: [now.info.fingerprint], known.get)


class SlowEmbedder(HashEmbedder):
    def passages(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.02)
        return super().passages(texts)


def tell(event: Event) -> None:
    if isinstance(event, Renewing):
        print(f"kept {event.done}", flush=True)  # in one piece, whenever this process is killed


if __name__ == "__main__":
    embedders = both(SlowEmbedder(NEW[1], name=NEW[0]), make(*OLD))
    sync(Home(Path(sys.argv[1])), None, embedders, WordCounter(), on_event=tell)
    print("done", flush=True)
