"""What a paragraph of an HWP document is: its shape says outline, number or bullet; its style's name says more."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from ingest.readers.office.hwp_file import Record
from ingest.readers.office.numbering import Level, Numbering

NUMBERING, BULLET, PARAGRAPH_SHAPE, STYLE = 23, 24, 25, 26
NONE, OUTLINE, NUMBER, POINT = range(4)

NUMBER_STYLES = (
    "decimal", "circled", "Roman", "roman", "upper", "lower", "circled upper", "circled lower", "syllable",
    "circled syllable", "jamo", "circled jamo", "phonetic", "ideograph",
)  # fmt: skip
"""By the codes of HWP 5."""

_LEVELS = 7
_HIGHEST_START = 10_000
_TITLE = re.compile(r"(?:큰\s*|문서\s*|대\s*)?제목|title|document title", re.IGNORECASE)
_CONTENTS = re.compile(r"(?:차례|목차|toc)\s*\d", re.IGNORECASE)
_HEADING = re.compile(r"(?:작은|중간|소|중)\s*제목|(?:제목|heading)\s*(\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Look:
    """`kind` of head, its `level` from 0, and which numbering it counts with; a heading may also be one by the name of its style.

    `contents`: a line of the table of contents, which repeats a heading.
    """

    kind: int = NONE
    level: int = 0
    list_id: int = 0
    heading: int = 0
    title: bool = False
    contents: bool = False

    @property
    def listed(self) -> bool:
        """Whether it is an item of a list."""
        return self.kind in (NUMBER, POINT)


def named(style: str) -> Look:
    """What a style's name alone says of a paragraph."""
    name = " ".join(style.split())
    if _TITLE.fullmatch(name):
        return Look(heading=1, title=True)
    if found := _HEADING.fullmatch(name):
        return Look(heading=int(found.group(1) or 2))
    return Look(contents=_CONTENTS.fullmatch(name) is not None)


def dressed(style: Look, shape: tuple[int, int, int], outline: int) -> Look:
    """A style with a shape: (kind of head, level, numbering). An outline counts with the numbering that its section names."""
    kind, level, list_id = shape
    if kind == OUTLINE:
        return replace(style, kind=kind, level=level, list_id=outline, heading=style.heading or level + 1)
    return replace(style, kind=kind, level=level, list_id=list_id)


class Styles:
    """The shapes, styles and numberings of one document. Numbers in it are trusted only as far as they point to something."""

    def __init__(self, info: Record) -> None:
        found: dict[int, list[Record]] = {tag: [] for tag in (NUMBERING, PARAGRAPH_SHAPE, STYLE)}
        stack = [info]
        while stack:
            record = stack.pop()
            if record.tag in found:
                found[record.tag].append(record)
            stack += reversed(record.inside)
        self._shapes = [_shape(record.data) for record in found[PARAGRAPH_SHAPE]]
        self._styles = [named(_style_name(record.data)) for record in found[STYLE]]
        self._numberings = [Numbering(_levels(record.data)) for record in found[NUMBERING]]
        self._outline = 0

    def begin_section(self, outline: int) -> None:
        """A section names the numbering (from 1) of its outline."""
        self._outline = outline

    def look(self, shape: int, style: int) -> Look:
        """What a paragraph of this shape and style is."""
        worn = self._shapes[shape] if shape < len(self._shapes) else (NONE, 0, 0)
        return dressed(self._styles[style] if style < len(self._styles) else Look(), worn, self._outline)

    def label(self, look: Look) -> str:
        """The number that the paragraph is shown with; counts it."""
        if look.kind in (OUTLINE, NUMBER) and 1 <= look.list_id <= len(self._numberings):
            return self._numberings[look.list_id - 1].next(look.level)
        return ""


def _shape(data: bytes) -> tuple[int, int, int]:
    if len(data) < 34:
        return NONE, 0, 0
    (bits,) = struct.unpack_from("<I", data)
    (list_id,) = struct.unpack_from("<H", data, 30)
    return (bits >> 23) & 3, (bits >> 25) & 7, list_id


def _style_name(data: bytes) -> str:
    (length,) = struct.unpack_from("<H", data) if len(data) >= 2 else (0,)
    return data[2 : 2 + 2 * length].decode("utf-16-le", "replace")


def _levels(data: bytes) -> list[Level]:
    """Seven levels: a paragraph head of 12 bytes each, then the length and the text of its form; behind them, where each starts."""
    forms: list[tuple[str, str]] = []
    at = 0
    while at + 14 <= len(data) and len(forms) < _LEVELS:
        (bits,) = struct.unpack_from("<I", data, at)
        (length,) = struct.unpack_from("<H", data, at + 12)
        text = data[at + 14 : at + 14 + 2 * length].decode("utf-16-le", "replace")
        code = (bits >> 5) & 0xF
        forms.append((text, NUMBER_STYLES[code] if code < len(NUMBER_STYLES) else "decimal"))
        at += 14 + 2 * length
    starts = struct.unpack_from(f"<{_LEVELS}I", data, at + 2) if len(data) >= at + 2 + 4 * _LEVELS else (1,) * _LEVELS
    return [Level(text, style, start if 0 < start < _HIGHEST_START else 1) for (text, style), start in zip(forms, starts, strict=False)]
