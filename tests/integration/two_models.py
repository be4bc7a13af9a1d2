"""A store's two embedding models, old and new; and the store embedded anew, as a process that is to be killed does it."""

from __future__ import annotations

from pathlib import Path

from doomed import Say, SlowEmbedder

from app.core.paths import Home
from ingest.embedders import Embedders
from ingest.generations import Renewing
from ingest.report import Event
from ingest.sync import sync
from models.embedder import Embedder
from models.hash_embedder import HashEmbedder, WordCounter

OLD, NEW = ("old", 64), ("new", 96)


def make(name: str, dimensions: int) -> HashEmbedder:
    return HashEmbedder(dimensions, name=name)


def both(now: Embedder, *others: Embedder) -> Embedders:
    """`now` is in use, the others are installed."""
    known = {other.info.fingerprint: other for other in others}
    return Embedders(lambda: now, lambda: [now.info.fingerprint], known.get)


def embed_anew(say: Say, home: Path) -> None:
    """Says how many texts are kept, portion by portion."""

    def tell(event: Event) -> None:
        if isinstance(event, Renewing):
            say(f"kept {event.done}")

    sync(Home(home), None, both(SlowEmbedder(NEW[1], name=NEW[0], seconds=0.02), make(*OLD)), WordCounter(), on_event=tell)
