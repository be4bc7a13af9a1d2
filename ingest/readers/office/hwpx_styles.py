"""What a paragraph of a HWPX is, from its header part."""

from __future__ import annotations

from ingest.readers.office.hwp_styles import NONE, NUMBER, OUTLINE, POINT, Look, dressed, named
from ingest.readers.office.markup import Element, attribute, child, children, descendants, number
from ingest.readers.office.numbering import Level, Numbering

_KINDS = {"OUTLINE": OUTLINE, "NUMBER": NUMBER, "BULLET": POINT}
_STYLES = {
    "DIGIT": "decimal",
    "CIRCLED_DIGIT": "circled",
    "ROMAN_CAPITAL": "Roman",
    "ROMAN_SMALL": "roman",
    "LATIN_CAPITAL": "upper",
    "LATIN_SMALL": "lower",
    "CIRCLED_LATIN_CAPITAL": "circled upper",
    "CIRCLED_LATIN_SMALL": "circled lower",
    "HANGUL_SYLLABLE": "syllable",
    "CIRCLED_HANGUL_SYLLABLE": "circled syllable",
    "HANGUL_JAMO": "jamo",
    "CIRCLED_HANGUL_JAMO": "circled jamo",
    "HANGUL_PHONETIC": "phonetic",
    "IDEOGRAPH": "ideograph",
}


class Styles:
    """The shapes, styles and numberings of one document, by their ids."""

    def __init__(self, header: Element | None) -> None:
        def found(wanted: str) -> list[Element]:
            return [] if header is None else list(descendants(header, wanted))

        self._shapes = {attribute(one, "id"): _shape(child(one, "heading")) for one in found("paraPr")}
        self._styles = {attribute(one, "id"): named(attribute(one, "name")) for one in found("style")}
        self._numberings = {number(attribute(one, "id")): Numbering(_levels(one)) for one in found("numbering")}
        self._outline = 0

    def begin_section(self, outline: str) -> None:
        """A section names the numbering of its outline."""
        self._outline = number(outline)

    def look(self, shape: str, style: str) -> Look:
        """What a paragraph of this shape and style is."""
        return dressed(self._styles.get(style, Look()), self._shapes.get(shape, (NONE, 0, 0)), self._outline)

    def label(self, look: Look) -> str:
        """The number that the paragraph is shown with; counts it."""
        counts = look.kind in (OUTLINE, NUMBER) and look.list_id in self._numberings
        return self._numberings[look.list_id].next(look.level) if counts else ""


def _shape(heading: Element | None) -> tuple[int, int, int]:
    if heading is None:
        return NONE, 0, 0
    return _KINDS.get(attribute(heading, "type"), NONE), number(attribute(heading, "level")), number(attribute(heading, "idRef"))


def _levels(numbering: Element) -> list[Level]:
    heads = sorted(children(numbering, "paraHead"), key=lambda one: number(attribute(one, "level"), 1))
    return [
        Level(one.text or "", _STYLES.get(attribute(one, "numFormat"), "decimal"), number(attribute(one, "start"), 1) or 1) for one in heads
    ]
