"""Which passages go into the prompt, and how much of them: the best that fit its budget, nothing said twice. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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


def trim(passages: Sequence[Passage], most: int) -> list[Passage]:
    """The same passages; one that repeats the end of its document's chunk before it loses the repeated part (up to `most` characters)."""
    by_place = {_place(passage): passage for passage in passages}
    return [_without_repeat(passage, by_place.get(_before(passage)), most) for passage in passages]


def _place(passage: Passage) -> tuple[str, str, int]:
    ordinal = passage.id.rpartition("#")[2]
    return passage.store, passage.document_id, int(ordinal) if ordinal.isdecimal() else -1


def _before(passage: Passage) -> tuple[str, str, int]:
    store, document, ordinal = _place(passage)
    return store, document, ordinal - 1 if ordinal > 0 else -2


def _without_repeat(passage: Passage, before: Passage | None, most: int) -> Passage:
    if before is None:
        return passage
    longest = min(most, len(passage.text) - 1, len(before.text))
    repeated = next((size for size in range(longest, 0, -1) if before.text.endswith(passage.text[:size])), 0)
    return msgspec.structs.replace(passage, text=passage.text[repeated:].lstrip()) if repeated else passage
