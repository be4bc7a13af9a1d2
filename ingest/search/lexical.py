"""Words as the full-text index keeps them.

SQLite's own tokenizer knows words between blanks and English stems. Korean glues particles to its nouns and Chinese and
Japanese write no blanks, so their runs are cut into overlapping pairs of characters: 주택임대차 -> 주택 택임 임대 대차.
On Korean questions that equals a morphological analyser, with no dictionary to ship. The same function cuts what is
indexed and what is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ingest.search.relevance import Term

# Hangul syllables; and Chinese characters with the kana that Japanese mixes into them (々 and ー belong to words).
_RUN = re.compile(r"[가-힣]+|[\u3005\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")

POSTINGS = 12_000
"""Rows that a question's words may touch in all, at one to two microseconds each. Under some 1,000 chunks it is never reached."""


def index_terms(text: str) -> str:
    """Replace each run of Hangul, Chinese or kana by its character pairs; a lone character stays itself.

    Normalised with NFKC (which includes NFC), so that decomposed Hangul from file names, full-width letters and the
    ligatures of PDF files are found by their ordinary spelling. Everything else is left to FTS5's tokenizer.
    """
    if text.isascii():
        return text
    return _RUN.sub(_pairs, unicodedata.normalize("NFKC", text))


def _pairs(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [letters[at : at + 2] for at in range(len(letters) - 1)] or [letters]
    return f" {' '.join(pairs)} "


def query_match(terms: Sequence[Term], *, postings: int = POSTINGS) -> str:
    """The FTS5 expression that asks for any of the terms; "" where no chunk holds one.

    The rarest come first, and frequent ones are left out when the rows that they touch would exceed `postings`: they say
    little, and an OR over them is what makes a search slow (100,000 chunks: 200 ms with all words, 15 with these).
    """
    chosen: list[str] = []
    touched = 0
    for term in sorted((term for term in terms if term.chunks), key=lambda term: term.chunks):
        if chosen and touched + term.chunks > postings:
            break
        touched += term.chunks
        chosen.append(term.text)
    return " OR ".join(f'"{word}"' for word in chosen)
