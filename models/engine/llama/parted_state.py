"""A sequence's state in the form of a cache that all sequences share, and in that of one with a part for each. Pure.

Behind eight bytes of its own llama.cpp writes the number of parts (streams), then for each the number of the sequence's cells
in it (u32) and, where it has some, the cells themselves; it reads them into the part of the sequence that they are for. A
sequence lies in one part alone: the others are zeros.
"""

from __future__ import annotations

import struct

_NUMBER = struct.Struct("<I")
_HEAD = 8  # what kind of file it is, and of which sequence
_COUNTS = _HEAD + _NUMBER.size


def joined(state: bytes) -> bytes:
    """A state of a parted cache, as one that all share writes it; empty where it holds no cells."""
    if len(state) < _COUNTS:
        return b""
    (streams,) = _NUMBER.unpack_from(state, _HEAD)
    empty = next((number for number in range(streams) if any(state[_at(number) : _at(number + 1)])), streams)
    if empty == streams:
        return b""
    behind = streams - empty - 1
    return state[:_HEAD] + _NUMBER.pack(1) + state[_at(empty) : len(state) - behind * _NUMBER.size]


def parted(state: bytes, streams: int) -> bytes:
    """A state of a cache that all share, as one of so many parts reads it."""
    return state[:_HEAD] + _NUMBER.pack(streams) + state[_COUNTS:] + bytes((streams - 1) * _NUMBER.size)


def _at(number: int) -> int:
    """Where the count of a part stands, when all before it are empty."""
    return _COUNTS + number * _NUMBER.size
