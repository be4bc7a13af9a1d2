"""Which passages go into the prompt: the best that fit its budget. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.records import Passage
from app.core.tokens import estimate_tokens


def fit(passages: Sequence[Passage], budget: int) -> list[Passage]:
    """The best passages in order whose estimated tokens stay within `budget`; at least one, however long it is."""
    chosen: list[Passage] = []
    spent = 0
    for passage in passages:
        cost = estimate_tokens(passage.text) + estimate_tokens(passage.title) + 8
        if chosen and spent + cost > budget:
            continue
        chosen.append(passage)
        spent += cost
    return chosen
