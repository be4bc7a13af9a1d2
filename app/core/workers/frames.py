"""The frames between a worker process and its parent: four bytes of length (little endian), then msgpack.

Parent to child: `{"id", "op", "body", "request_id"}`; `op` "cancel" names the id to give up in its body.
Child to parent: `{"id", "kind", "body"}` with kind "hello" and "event" (id 0), "item", "done" or "error".
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

LENGTH = struct.Struct("<I")
LARGEST = 512 * 1024 * 1024


class Call(msgspec.Struct, frozen=True):
    """One request to a worker; `request_id` is the API's, for the log."""

    id: int
    op: str
    body: Any = None
    request_id: str = ""


class Reply(msgspec.Struct, frozen=True):
    """One frame back; id 0 belongs to no request."""

    id: int
    kind: str
    body: Any = None


_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(Call)
_replies = msgspec.msgpack.Decoder(Reply)


def pack(frame: Call | Reply) -> bytes:
    """The frame with its length in front."""
    payload = _encoder.encode(frame)
    return LENGTH.pack(len(payload)) + payload


def length(header: bytes) -> int:
    """The payload's length in bytes; ValueError where it can't be one of ours (the stream is out of step)."""
    (size,) = LENGTH.unpack(header)
    if size > LARGEST:
        raise ValueError(f"a frame of {size} bytes: the stream is out of step")
    return int(size)


def call(payload: bytes) -> Call:
    """Decode a parent's frame."""
    return _calls.decode(payload)


def reply(payload: bytes) -> Reply:
    """Decode a child's frame."""
    return _replies.decode(payload)
