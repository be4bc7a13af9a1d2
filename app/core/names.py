"""Names that people give: of stores, sources, assistants."""

from __future__ import annotations

import unicodedata


def composed(name: str) -> str:
    """A name in one form (NFC): what looks the same is the same, wherever it was typed or copied from.

    macOS writes Hangul and accents apart (NFD). Every way in that a name has ends here before it is looked up or kept. Bytes of a command
    line that are no text become question marks.
    """
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
