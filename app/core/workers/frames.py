"""The frames between a worker process and its parent: four bytes of length (little endian), then msgpack.

Parent to child: `{"id", "op", "body", "request_id"}`; `op` "start" comes first and has a `Start` as its body; "cancel" names the
id to give up in its body.
Child to parent: `{"id", "kind", "body"}` with kind "hello" and "event" (id 0), "item", "done" or "error".
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from app.core.egress import Policy
from app.core.errors import BadRequest
from app.core.logs import LogOptions

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


class Start(msgspec.Struct, frozen=True):
    """The body of the first call, "start": the worker's settings, and how the parent logs and what it may reach."""

    settings: dict[str, Any]
    process: str
    logs: str
    log_options: LogOptions = LogOptions()
    egress: Policy | None = None


class OutOfStep(Exception):
    """What arrived is no frame of ours: something else has written to the pipe."""


_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(Call)
_replies = msgspec.msgpack.Decoder(Reply)


def pack(frame: Call | Reply) -> bytearray:
    """The frame with its length in front; BadRequest where it is larger than a frame may be, or holds a number that is."""
    data = bytearray(LENGTH.size)
    try:
        _encoder.encode_into(frame, data, LENGTH.size)
    except OverflowError:
        raise BadRequest("A whole number has more than 64 bits.", hint="Send a smaller one.") from None
    size = len(data) - LENGTH.size
    if size > LARGEST:
        raise BadRequest(f"A message of {size} bytes is more than the {LARGEST} that one may have.", hint="Send it in parts.")
    LENGTH.pack_into(data, 0, size)
    return data


def length(header: bytes | bytearray) -> int:
    """The payload's length in bytes; OutOfStep where it can't be one of ours."""
    (size,) = LENGTH.unpack(header)
    if size > LARGEST:
        raise OutOfStep(f"a frame of {size} bytes: the stream is out of step")
    return int(size)


def call(payload: bytes | bytearray) -> Call:
    """Decode a parent's frame; OutOfStep where it is none."""
    try:
        return _calls.decode(payload)
    except msgspec.MsgspecError as error:
        raise OutOfStep(f"not a call: {error}") from None


def reply(payload: bytes | bytearray) -> Reply:
    """Decode a child's frame; OutOfStep where it is none."""
    try:
        return _replies.decode(payload)
    except msgspec.MsgspecError as error:
        raise OutOfStep(f"not a reply: {error}") from None
