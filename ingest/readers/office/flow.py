"""What every office reader makes of its format: headings and blocks, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.core.errors import ItemError
from ingest.documents import Block, Kind, tidy
from ingest.readers.headings import Headings

LONGEST_HEADING = 120
"""Characters. A whole paragraph in a heading's style is a paragraph: as a heading it would stand over every chunk below it."""

_SPACE = re.compile(r"[ \t\xa0\u2007\u3000]+")
# What programs write into the title field themselves.
_NO_TITLE = re.compile(
    r"(?:microsoft (?:word|powerpoint|excel) - .*|powerpoint (?:presentation|프레젠테이션)|(?:word )?document ?\d*|presentation ?\d*"
    r"|untitled.*|slide ?\d*|문서 ?\d*|프레젠테이션 ?\d*|슬라이드 ?\d*|제목 ?없음.*|빈 문서.*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Heading:
    """A section begins; `level` counts from 1."""

    level: int
    text: str
    page: int | None = None


Item = Heading | Block


def said(text: str) -> str:
    """Text in one form: spaces single, lines trimmed, empty ones left out."""
    lines = (_SPACE.sub(" ", line).strip() for line in tidy(text).split("\n"))
    return "\n".join(line for line in lines if line)


def paragraph(text: str, level: int = 0, kind: Kind = "text", page: int | None = None) -> Iterator[Item]:
    """A paragraph, as a heading where it has a level and is short enough for one."""
    text = said(text)
    if level and len(text) <= LONGEST_HEADING:
        yield Heading(level, text, page)
    elif text:
        yield Block(text, page=page, kind=kind)


def placed(items: Iterable[Item], title: str) -> Iterator[Block]:
    """The blocks with the headings that they stand under; a heading that repeats the title is none."""
    headings = Headings(title)
    for item in items:
        if isinstance(item, Heading):
            yield from headings.enter(item.level, item.text, page=item.page)
        else:
            yield from headings.place(iter([item]))
    yield from headings.end()


def refuse_slides(count: int, limit: int) -> None:
    """ItemError: a presentation has more slides than a file may have pages."""
    if count > limit:
        raise ItemError(f"has {count} slides, more than {limit}.", hint="Split it, or raise ingest.max_pages in the configuration.")


def title_of(declared: str | None, otherwise: str) -> str:
    """The title that a document declares, unless its program made it up."""
    found = " ".join(said(declared or "").split())
    named = sum(letter.isalpha() for letter in found) > 1
    return found if named and not _NO_TITLE.fullmatch(found) else otherwise
