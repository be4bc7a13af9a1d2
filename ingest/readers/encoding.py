"""Bytes to text, for files that don't say what they are written in.

A byte order mark decides; else UTF-8 where the bytes are valid UTF-8 (other encodings hardly ever are, by chance);
else CP949, in which older Korean Windows wrote; else what charset-normalizer makes of it.
"""

from __future__ import annotations

import codecs
import re

from app.core.errors import ItemError
from ingest.documents import tidy

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HANGUL = re.compile("[가-힣]")
_OTHER_LETTER = re.compile("[^\x00-\x7f가-힣]")


def decode(data: bytes, declared: str = "") -> str:
    """The text, in one form (`tidy`). `declared` is what the file says of itself, tried before guessing. ItemError: no encoding fits."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return tidy(_strict(data, encoding))
    for encoding in ("utf-8", declared, "cp949"):
        if encoding and (text := _fits(data, encoding)) is not None:
            return tidy(text)
    from charset_normalizer import from_bytes

    found = from_bytes(data).best()
    if found is None or b"\x00" in data:
        raise ItemError("is not text in any encoding that Ondol knows.", hint="Save it as UTF-8.")
    return tidy(str(found))


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ItemError(f"is marked as {encoding.upper()}, but byte {error.start} is not.", hint="Save it as UTF-8.") from None


def _fits(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
    if "\x00" in text:
        return None
    # Western bytes often pass as CP949 too, as rare ideographs; Korean text is mostly Hangul syllables.
    if encoding == "cp949" and len(_HANGUL.findall(text)) < len(_OTHER_LETTER.findall(text)):
        return None
    return text
