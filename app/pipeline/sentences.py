"""Texts cut into sentences, in English and Korean, by rule. Pure; nothing of the text is lost or changed."""

from __future__ import annotations

import re

# A full stop ends no sentence after these.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nos|vs|etc|Inc|Ltd|Co|Corp|Jr|Sr|Fig|al|approx|cf|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
    r"|\b(?:e\.g|i\.e|a\.m|p\.m)|\b[A-Z](?:\.[A-Z])*|^\d{1,3})\.$"
)
_END = re.compile(r"[.!?。！？]+[\"'”’)\]]*(?=\s)|[。！？]|\n+")
# A citation mark behind a full stop belongs to the sentence before it.
_CITED = re.compile(r"[ \t]*(?:\[\d{1,2}(?:\s*,\s*\d{1,2})*\][.,]?[ \t]*)+")
_HALF_MARK = re.compile(r"^\s*\[[\d,\s]*\]?\s*$")
_MARKER = re.compile(r"^\s*(?:[-*+•]\s+|#{1,6}\s+|>\s+|\d{1,3}[.)]\s+)")


def split(text: str) -> list[str]:
    """The sentences of a text, trimmed, list and heading marks left out. A line end ends a sentence."""
    return [found for found in (_MARKER.sub("", raw).strip() for raw in _cut(_unwrap(text))) if found]


def complete(text: str) -> tuple[list[str], str]:
    """A growing text as (sentences that are surely finished, with their trailing space, the rest); joined, they are the text."""
    parts = _cut(text)
    held = parts.pop() if parts else ""
    while parts and _HALF_MARK.match(held):
        held = parts.pop() + held
    return parts, held


def _cut(text: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if end <= start:
            continue
        if match.group()[0] != "\n" and _ABBREVIATION.search(text[max(start, end - 12) : end]):
            continue
        if cited := _CITED.match(text, end):
            end = cited.end()
        while end < len(text) and text[end] in " \t":
            end += 1
        if text[start:end].strip() or not parts:
            parts.append(text[start:end])
        else:
            parts[-1] += text[start:end]
        start = end
    if start < len(text):
        parts.append(text[start:])
    return parts


def _unwrap(text: str) -> str:
    """Lines that a file broke by width are joined again: a line end inside a sentence is a blank. A row's "name: value" stands alone."""
    return re.sub(r"(?<=[^\s.!?:;。|])\n(?=[a-z가-힣(])(?![\w ]{1,40}: )", " ", text)
