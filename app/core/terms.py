"""Words to compare texts by: what two texts share, in any script.

Latin and other spaced scripts give lower-case words with a light English stem; Hangul, kana and ideographs give character
bigrams, which for Korean equal a morphological analyser on our data and need no dictionary.

`ingest.search.lexical` cuts bigrams too, on purpose by itself: what it cuts is kept in every book, so it changes with the books alone; it
knows more scripts, and leaves stems to SQLite.
"""

from __future__ import annotations

import re
import unicodedata

_RUN = re.compile(r"[가-힣぀-ヿ一-鿿]+|[^\W_가-힣぀-ヿ一-鿿]+(?:['’][^\W_]+)?")
_BIGRAM_SCRIPT = re.compile(r"[가-힣぀-ヿ一-鿿]")
_HANGUL = re.compile(r"[가-힣ᄀ-ᇿㄱ-ㆎ]")

STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my of on or our
    s so such t than that the their them then there these they this those to was we were what when where which who whom whose
    why will with would you your about after before between during much many
    """.split()  # noqa: SIM905 - a list would be one word a line
)


def is_korean(text: str) -> bool:
    """Whether a reader of this text is served in Korean: any Hangul outweighs a quarter of the letters."""
    letters = sum(1 for letter in text if letter.isalpha())
    return letters > 0 and len(_HANGUL.findall(text)) * 4 >= letters


def stem(word: str) -> str:
    """A light English stem: endings that change no meaning for matching. Not a dictionary form."""
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    for ending, kept in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: len(word) - len(ending)] + kept
    return word.removesuffix("e") if len(word) > 4 else word


def terms(text: str) -> list[str]:
    """The comparable terms of a text in order, stop words left out."""
    found: list[str] = []
    for match in _RUN.finditer(unicodedata.normalize("NFC", text).lower()):
        run = match.group()
        if _BIGRAM_SCRIPT.match(run):
            found += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        elif run not in STOP_WORDS:
            found.append(stem(run))
    return found


def numbers(text: str) -> set[str]:
    """The numbers in a text, without thousands separators, so that "1,200" equals "1200"."""
    return {re.sub(r"[,\s]", "", number).rstrip(".") for number in re.findall(r"\d[\d,.]*", text)}
