"""What an Open WebUI that does not answer yet is doing, in words, by what its log says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.chat_page.child import tail

# The last of these that the log holds is where it stands.
STEPS = (
    ("alembic.runtime", "preparing its database"),
    ("Embedding model set", "loading its parts"),
    ("Started server process", "starting its server"),
    ("Waiting for application startup", "starting its server"),
    ("Seeded", "writing its first settings"),
    ("Application startup complete", "almost there"),
)
FIRST = "loading its libraries"


def doing(log: Path) -> str:
    """One step, from the end of the log."""
    return step(tail(log))


def step(lines: Iterable[str]) -> str:
    """The step that the last telling line belongs to."""
    found = FIRST
    for line in lines:
        found = next((words for mark, words in STEPS if mark in line), found)
    return found
