"""What a paragraph of a DOCX is: heading, list item, numbered. Its own properties decide, then its style's, then the style's parents'."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.readers.office.markup import Element, attribute, child, children, number
from ingest.readers.office.numbering import Level, Numbering

_HEADING = re.compile(r"(?:heading|제목|überschrift|titre|título|見出し|标题)\s*(\d)", re.IGNORECASE)
_CONTENTS = re.compile(r"(?:toc|목차|차례)\s*\d", re.IGNORECASE)
_TITLES = frozenset(["title", "제목"])
_PLAIN_TABLES = frozenset(["", "tablenormal", "normal table", "tablegrid", "table grid", "표 구분선", "표준 표", "일반 표"])
_BODY_TEXT = 9
_DEEPEST = 20
_STYLES = {
    "lowerLetter": "lower",
    "upperLetter": "upper",
    "lowerRoman": "roman",
    "upperRoman": "Roman",
    "ganada": "syllable",
    "chosung": "jamo",
    "decimalEnclosedCircle": "circled",
    "koreanDigital": "phonetic",
    "koreanCounting": "phonetic",
    "koreanDigital2": "ideograph",
    "chineseCounting": "ideograph",
    "bullet": "",
    "none": "",
}


@dataclass(frozen=True)
class Look:
    """`heading`: its level from 1, or 0. `list_id` and `level`: the list that numbers it; `level` counts from 0.

    `contents`: a line of the table of contents, which repeats a heading.
    """

    heading: int = 0
    title: bool = False
    list_id: str = ""
    level: int = 0
    contents: bool = False

    @property
    def listed(self) -> bool:
        """Whether it is an item of a list."""
        return bool(self.list_id)


class Styles:
    """The styles and numberings of one document."""

    def __init__(self, styles: Element | None, numbering: Element | None) -> None:
        self._styles = {attribute(one, "styleId"): one for one in children(styles, "style")}
        self._default = next(
            (
                id
                for id, one in self._styles.items()
                if attribute(one, "type") == "paragraph" and attribute(one, "default") in ("1", "true")
            ),
            "",
        )
        abstract = {attribute(one, "abstractNumId"): one for one in children(numbering, "abstractNum")}
        self._counters: dict[str, Numbering] = {}
        shared: dict[str, Numbering] = {}
        for one in children(numbering, "num"):
            id = _value(one, "abstractNumId")
            restarts = {
                number(attribute(found, "ilvl")): number(_value(found, "startOverride"), 1) for found in children(one, "lvlOverride")
            }
            # Lists of one kind count on from each other, unless one says where it starts.
            fresh = Numbering(_levels(abstract.get(id), restarts))
            self._counters[attribute(one, "numId")] = fresh if restarts else shared.setdefault(id, fresh)

    def look(self, properties: Element | None) -> Look:
        """What a paragraph with these properties (`pPr`) is."""
        chain = [properties, *self._chain(_value(properties, "pStyle") or self._default)]
        names = [_value(style, "name") for style in chain[1:]]
        outline = next((found for one in chain if (found := _value(_own(one), "outlineLvl"))), "")
        level = number(outline, _BODY_TEXT) + 1
        if level > _BODY_TEXT:
            named = _HEADING.fullmatch(names[0]) if names and not outline else None
            level = int(named.group(1)) if named else 0
        title = bool(names) and names[0].lower() in _TITLES
        numbered = [part for one in chain if (part := child(_own(one), "numPr")) is not None]
        list_id = next((id for one in numbered if (id := _value(one, "numId"))), "")
        depth = next((at for one in numbered if (at := _value(one, "ilvl"))), "0")
        contents = bool(names) and _CONTENTS.fullmatch(names[0]) is not None
        return Look(1 if title else level, title, list_id if list_id in self._counters else "", number(depth), contents)

    def label(self, look: Look) -> str:
        """The number that the paragraph is shown with; counts it."""
        return self._counters[look.list_id].next(look.level) if look.listed else ""

    def names_first_row(self, table: Element | None) -> bool:
        """Whether the table's style dresses its first row as a header."""
        shown = child(table, "tblLook")
        if shown is None:
            return False
        first = attribute(shown, "firstRow") in ("1", "true") or bool(int(attribute(shown, "val") or "0", 16) & 0x20)
        style = _value(table, "tblStyle")
        name = _value(self._styles.get(style), "name") or style
        return first and style.lower() not in _PLAIN_TABLES and name.lower() not in _PLAIN_TABLES

    def _chain(self, id: str) -> list[Element]:
        chain: list[Element] = []
        while id in self._styles and len(chain) < _DEEPEST:
            chain.append(self._styles[id])
            id = _value(self._styles[id], "basedOn")
        return chain


def _own(element: Element | None) -> Element | None:
    """The paragraph properties of a style; those of a paragraph are what they are."""
    inside = child(element, "pPr")
    return element if inside is None else inside


def _value(parent: Element | None, wanted: str) -> str:
    found = child(parent, wanted)
    return "" if found is None else attribute(found, "val")


def _levels(abstract: Element | None, restarts: dict[int, int]) -> list[Level]:
    levels = []
    for at, one in enumerate(children(abstract, "lvl")):
        style = _value(one, "numFmt")
        start = restarts.get(at, number(_value(one, "start"), 1))
        levels.append(Level(_value(one, "lvlText"), _STYLES.get(style, "decimal"), start))
    return levels
