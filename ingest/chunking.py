"""Documents cut into chunks: structure first, then size.

A chunk never crosses a section or a page. Within one, whole blocks are packed up to `tokens`; a block a quarter
larger stays whole where the embedder can take it; a longer one is cut into parts of about equal size, each beginning with the end of
the part before (`overlap`): prose between sentences, a list between its items, a row between its values, code at empty lines, else
between lines. Only what is too long by itself is cut further: an item between sentences, a sentence between words, a word anywhere.
The later parts of a row have its first value in their heading, and a line that announces a list, a table or code stays with it.

Size is counted in the embedder's tokens, but some tokenizers break a script into crumbs (all-MiniLM makes three tokens of
one Hangul syllable): 220 of those are a line and a half, too little to be read or found by its words. So `characters`
of text always fit, and the embedder sees their beginning; word search sees all of it. Each sentence is measured by the
milder of the two measures, and a chunk is full when its sentences' shares add up to one. Others make one token of a word however
long it is (all-MiniLM: [UNK] beyond 100 characters), and megabytes of hexadecimal are such a word: `_LONGEST` holds all the same.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ingest.documents import Block, Kind

RULE = 3
"""Raised when the same document would be cut in another way: all are then cut again, and only new texts embedded."""

Offsets = Callable[[str], list[tuple[int, int]]]

_SENTENCE_END = re.compile(r"""(?<=[.!?])["'”’)\]」』]*\s+(?=["'“‘(\[「『]?[^\sa-z])|(?<=[。！？])["”’」』）]*\s*|\n+\s*""")
_WORD_END = re.compile(r"\s+")
_LINE_END = re.compile(r"\n+")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n+")
_CUTS: dict[Kind, tuple[re.Pattern[str], ...]] = {
    "text": (_SENTENCE_END,),
    "list": (_LINE_END, _SENTENCE_END),
    "row": (_LINE_END, _SENTENCE_END),
    "code": (_EMPTY_LINE, _LINE_END),
}
"""Where a block of a kind is cut: at the first of these, and what is then still too long at the next."""
_INTRODUCTION = 0.25
_LABEL_CHARACTERS = 80
_SPECIAL = 2
_TITLE_CHARACTERS = 120
_LONGEST = 8
"""How many times `characters` a chunk may have, however few its tokens are."""
_STRETCH = 1.25
"""How far above the target a block may go before it is cut: two chunks of little more than a half say less than one."""


@dataclass(frozen=True)
class ChunkOptions:
    """`tokens` a chunk aims at, `overlap` tokens between parts of one block, `characters` that always fit."""

    tokens: int = 220
    overlap: int = 40
    characters: int = 500


DEFAULT = ChunkOptions()


@dataclass(frozen=True)
class Chunk:
    """A passage as its reader sees it, and the heading path that goes to the embedder with it."""

    text: str
    heading: str
    page: int | None
    line: int | None


@dataclass(frozen=True)
class _Part:
    """A stretch of a block; `size` is its share of a full chunk, `whole` whether it is all of its block."""

    block: Block
    start: int
    end: int
    size: float
    whole: bool

    @property
    def text(self) -> str:
        text = self.block.text[self.start : self.end]
        # Code and nested lists say something with the blanks that a line begins with.
        return text.strip("\n").rstrip() if self.block.kind in ("code", "list") else text.strip()


def embedded_text(title: str, heading: str, text: str) -> str:
    """What the embedder sees of a chunk: where it stands (the title's beginning, the innermost headings), then what it says."""
    return "\n".join(part for part in (title[:_TITLE_CHARACTERS], heading[-_TITLE_CHARACTERS:], text) if part)


def chunk(title: str, blocks: Sequence[Block], offsets: Offsets, max_tokens: int, options: ChunkOptions = DEFAULT) -> list[Chunk]:
    """Cut the blocks of one document, in order. `max_tokens` is what the embedder takes, special tokens included."""
    chunks: list[Chunk] = []
    filled = [block for block in blocks if block.text.strip()]
    for (path, _page), section in groupby(filled, key=lambda block: (block.heading_path, block.page)):
        heading, within = " > ".join(path), list(section)
        if sum(len(block.text) for block in within) < options.characters:
            # So many characters fit whatever their tokens: most rows of a table need no tokenizer.
            chunks.append(_join(_wholes(within), heading))
            continue
        prefix = len(offsets(embedded_text(title, heading, "")))
        # A long title must not squeeze its text out: it may take half of the embedder's room.
        room = max(max_tokens - _SPECIAL - prefix, max_tokens // 2)
        measure = _Measure(offsets, min(options.tokens, room), room, options)
        if measure.holds(within):
            chunks.append(_join(_wholes(within), heading))
            continue
        chunks += [_join(parts, heading) for parts in _packed([part for block in within for part in _parts(block, measure)])]
    return chunks


class _Measure:
    """Sizes within one section: a share of the target, where one is full; `largest` is the share that a whole block may take."""

    def __init__(self, offsets: Offsets, target: int, room: int, options: ChunkOptions) -> None:
        self._offsets, self._target, self._characters = offsets, target, options.characters
        self.largest = min(room / target, _STRETCH)
        self.overlap = min(options.overlap / target, 0.5)
        self._counted: dict[str, list[int]] = {}

    def holds(self, blocks: Sequence[Block]) -> bool:
        """Whether all fit in one chunk. Tokens are counted in the longest ones alone, where characters say enough of the others."""
        sizes = [len(block.text) / self._characters for block in blocks]
        least = sum(sizes) / _LONGEST
        for at in sorted(range(len(blocks)), key=sizes.__getitem__, reverse=True):
            if sum(sizes) <= 1 or least > 1:
                break
            share, text = sizes[at], blocks[at].text
            # Kept of these alone: they are some thousand characters at most, and a section may be megabytes.
            self._counted[text] = self.token_starts(text)
            sizes[at] = self.size(self._counted[text], 0, len(text))
            least += sizes[at] - share / _LONGEST
        return sum(sizes) <= 1

    def token_starts(self, text: str) -> list[int]:
        counted = self._counted.get(text)
        return [start for start, _ in self._offsets(text)] if counted is None else counted

    def size(self, starts: list[int], start: int, end: int) -> float:
        tokens = bisect.bisect_left(starts, end) - bisect.bisect_left(starts, start)
        share = (end - start) / self._characters
        return max(min(tokens / self._target, share), share / _LONGEST)


def _wholes(blocks: Sequence[Block]) -> list[_Part]:
    """Blocks of one chunk, whose sizes nobody asks for."""
    return [_Part(block, 0, len(block.text), 0.0, True) for block in blocks]


def _parts(block: Block, measure: _Measure) -> Iterator[_Part]:
    """A block as one part, or as several of about equal size when it is too large."""
    starts = measure.token_starts(block.text)
    length = len(block.text)
    whole = measure.size(starts, 0, length)
    if whole <= measure.largest:
        yield _Part(block, 0, length, whole, True)
        return
    spans = list(_spans(block.text, 0, length, _CUTS[block.kind], starts, measure))
    total = sum(size for _, _, size in spans)
    # Room for the overlap is kept free in each part, so that it never pushes one over the limit.
    goal = total / -(-total // (1 - measure.overlap))
    first, filled = 0, 0.0
    for at, (_, _, size) in enumerate(spans):
        if at > first and filled + size > min(goal + size / 2, 1 - measure.overlap):
            yield _part(block, spans, first, at, measure)
            first, filled = at, 0.0
        filled += size
    yield _part(block, spans, first, len(spans), measure)


def _part(block: Block, spans: list[tuple[int, int, float]], first: int, after: int, measure: _Measure) -> _Part:
    """The sentences from `first`, with as many before them as the overlap and the limit allow."""
    size = sum(span[2] for span in spans[first:after])
    back, lent = first, 0.0
    while back > 0 and lent + spans[back - 1][2] <= min(measure.overlap, 1 - size):
        back -= 1
        lent += spans[back][2]
    return _Part(block, spans[back][0], spans[after - 1][1], size + lent, False)


def _spans(
    text: str, start: int, end: int, marks: tuple[re.Pattern[str], ...], starts: list[int], measure: _Measure
) -> Iterator[tuple[int, int, float]]:
    """Consecutive spans (start, end, size) that cover the text between two places, each cut no finer than its size needs."""
    limit = 1 - measure.overlap
    for first, after in _cut(text, start, end, marks[0]):
        size = measure.size(starts, first, after)
        if size <= limit:
            yield first, after, size
        elif len(marks) > 1:
            yield from _spans(text, first, after, marks[1:], starts, measure)
        else:
            yield from _pieces(text, first, after, starts, measure, limit)


def _pieces(text: str, start: int, end: int, starts: list[int], measure: _Measure, limit: float) -> Iterator[tuple[int, int, float]]:
    """Spans of as many words as fit."""
    piece, filled = start, 0.0
    for word, after in _words(text, start, end, starts, measure, limit):
        size = measure.size(starts, word, after)
        if filled + size > limit and word > piece:
            yield piece, word, filled
            piece, filled = word, 0.0
        filled += size
    yield piece, end, filled


def _words(text: str, start: int, end: int, starts: list[int], measure: _Measure, limit: float) -> Iterator[tuple[int, int]]:
    for word, after in _cut(text, start, end, _WORD_END):
        at = word
        while measure.size(starts, at, after) > limit:
            cut = at + 1
            # The farthest end that still fits; sizes only grow with the end, so halving finds it.
            low, high = at + 1, after
            while low <= high:
                middle = (low + high) // 2
                if measure.size(starts, at, middle) <= limit:
                    cut, low = middle, middle + 1
                else:
                    high = middle - 1
            yield at, cut
            at = cut
        if at < after:
            yield at, after


def _cut(text: str, start: int, end: int, mark: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = start
    for found in mark.finditer(text, start, end):
        if found.end() > at and found.end() < end:
            yield at, found.end()
            at = found.end()
    if at < end:
        yield at, end


def _packed(parts: list[_Part]) -> Iterator[list[_Part]]:
    """Neighbours together as long as they fill no more than one chunk; parts of a cut block keep to themselves."""
    waiting: list[_Part] = []
    for part in parts:
        joins = waiting and part.whole and waiting[-1].whole and sum(other.size for other in waiting) + part.size <= 1
        if waiting and not joins:
            kept = [waiting[-1]] if len(waiting) > 1 and _introduces(waiting[-1], part) else []
            yield waiting[: len(waiting) - len(kept)]
            waiting = kept
        waiting.append(part)
    if waiting:
        yield waiting


def _introduces(line: _Part, part: _Part) -> bool:
    """Whether a short paragraph announces what comes next, and both fit in one chunk."""
    announced = line.block.kind == "text" and line.text.endswith((":", "：")) and part.block.kind != "text"
    return announced and line.whole and part.whole and line.size <= _INTRODUCTION and line.size + part.size <= 1


def _join(parts: list[_Part], heading: str) -> Chunk:
    first = parts[0]
    text = first.text
    for before, part in pairwise(parts):
        text += ("\n" if before.block.kind == part.block.kind == "row" else "\n\n") + part.text
    line = first.block.line
    if line is not None:
        line += first.block.text.count("\n", 0, first.start)
    if first.block.kind == "row" and first.start > 0:
        label = first.block.text.strip().partition("\n")[0][:_LABEL_CHARACTERS]
        heading = f"{heading} > {label}" if heading else label
    return Chunk(text, heading, first.block.page, line)
