"""Which passages go into the prompt: the best that fit its budget. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.records import Passage

_WIDE = re.compile(r"[ᄀ-ᇿ぀-ヿ一-鿿가-힣]")


def estimate_tokens(text: str) -> int:
    """A careful guess without a tokenizer: four letters a token, one and a half tokens for a Hangul syllable or ideograph."""
    wide = len(_WIDE.findall(text))
    return (len(text) - wide) // 4 + wide * 3 // 2 + 1


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
