"""The pictures in a chat: where they stand, what is refused, and the tokens that stand for one in a prompt. Pure; the server imports it.

A picture comes as a data URL in OpenAI's content part. Nothing is fetched: an address or a path is refused. In a prompt it is a
run of numbers below zero made of its own content, so that what the cache holds of one picture is never taken for another's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.core.errors import BadRequest
from app.core.records import Message

MOST_PICTURES = 32  # of one request: a chat repeats those of its earlier turns
MOST_BYTES = 20 << 20  # of one picture, as its file
KINDS = "PNG, JPEG, WebP, GIF or BMP"
_DATA = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]+)*?;base64,", re.IGNORECASE)
_HEAD = 64  # bytes of base64 that say what it is
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")


class Picture(NamedTuple):
    """A picture's file as it came. Equal content has an equal digest."""

    data: bytes
    digest: bytes


def check(messages: Sequence[Message], *, sees: bool) -> None:
    """BadRequest for a picture that is not one, is too large, or that a model without eyes is asked about. Looks at beginnings alone."""
    found = list(_urls(messages))
    if found and not sees:
        raise blind()
    if len(found) > MOST_PICTURES:
        raise _refused(f"The chat holds {len(found)} pictures, and {MOST_PICTURES} are the most.", "Begin a new chat, or leave some out.")
    for url in found:
        _payload(url)


def blind(why: str = "") -> BadRequest:
    """The error of a model that can't see; `why` is what went wrong with one that should."""
    return _refused(
        f"This model reads text only{f': {why}' if why else ''}.",
        "Leave the picture out, or choose a model that sees: `vision` in GET /v1/models, a GGUF with its projector (mmproj).",
    )


def pictures(messages: Sequence[Message]) -> tuple[Picture, ...]:
    """The pictures in the order in which they stand. BadRequest as `check`, and where the base64 is broken."""
    check(messages, sees=True)
    return tuple(_picture(url) for url in _urls(messages))


def is_picture(part: Mapping[str, Any]) -> bool:
    """Whether a content part is one."""
    return part.get("type") == "image_url"


def run(digest: bytes, number: int, count: int) -> list[int]:
    """The tokens that stand for the `number`-th part of a picture: `count` of them, all below zero.

    The first of them alone is even: a cache may be cut before it, never inside of a part.
    """
    stream = hashlib.shake_256(digest + struct.pack("<I", number)).digest(4 * count)
    # Thirty bits of the content each: they fit a signed word of 32 with the mark in the lowest.
    words = struct.unpack(f"<{count}I", stream)
    return [-2 - ((word >> 2) * 2 + (index > 0)) for index, word in enumerate(words)]


def whole(tokens: Sequence[int], length: int) -> int:
    """`length`, or less where it would cut a part of a picture in two."""
    while 0 < length < len(tokens) and tokens[length] < 0 and tokens[length] % 2:
        length -= 1
    return length


def _urls(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        for part in message.content if isinstance(message.content, list) else ():
            if is_picture(part):
                given = part.get("image_url")
                url = given.get("url") if isinstance(given, Mapping) else given
                if not isinstance(url, str):
                    raise _refused(
                        "A content part of type image_url has no url.", 'Send {"image_url": {"url": "data:image/png;base64,..."}}.'
                    )
                yield url


def _payload(url: str) -> str:
    """The base64 of a data URL that begins as a picture does."""
    found = _DATA.match(url[:256])
    if found is None:
        shown = url[:40] + ("..." if len(url) > 40 else "")
        raise _refused(
            f"A picture is given as {shown!r}: addresses and paths are not fetched.", "Send its content: data:image/png;base64,..."
        )
    if (len(url) - found.end()) * 3 // 4 > MOST_BYTES + 2:
        raise _refused(f"A picture is larger than {MOST_BYTES >> 20} MB.", "Make it smaller: models look at a megapixel or two.")
    head = _decoded(url[found.end() : found.end() + _HEAD])
    if not head.startswith(_BEGINNINGS) and not (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        raise _refused("What was sent as a picture is none that is known.", f"Send {KINDS}.")
    return url[found.end() :]


def _picture(url: str) -> Picture:
    data = _decoded(_payload(url))
    return Picture(data, hashlib.sha256(data).digest())


def _decoded(text: str) -> bytes:
    text = "".join(text.split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _refused("A picture's base64 is broken.", "Send its whole content: data:image/png;base64,...") from None


def _refused(message: str, hint: str) -> BadRequest:
    return BadRequest(message, hint=hint, param="messages")
