"""Letters of Hancom's own: what its fonts draw at private code points, where Unicode has a letter for it."""

from __future__ import annotations

# The syllable that Hancom writes its own name with, as older versions stored it; NFC keeps its conjoining jamo as they are.
_LETTERS = {0xF53A: "\u1112\u119e\u11ab"}
# Digits in a box, which official letters count their sections with: U+F02B1 is a boxed 1.
_LETTERS |= {0xF02B1 + at: chr(0x2460 + at) for at in range(9)}


def spelled(text: str) -> str:
    """The text with known private letters in Unicode; unknown ones are left, for they mean something to a Hancom font."""
    return text.translate(_LETTERS)
