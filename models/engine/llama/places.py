"""Where tokens stand, for models that count the tokens of a picture in two dimensions: fewer positions than tokens. Pure."""

from __future__ import annotations

import struct

_MAGIC = b"PLCS"  # no state begins so: it would be a count of a thousand million
_PAIR = struct.Struct("<II")


class Places:
    """Sequences' tokens by their index, and the positions that a context knows them by. Without pictures they are the same."""

    def __init__(self) -> None:
        # Of each sequence: (index behind a picture, tokens that it has more than positions, with those before it).
        self._lost: dict[int, tuple[tuple[int, int], ...]] = {}

    def position(self, sequence: int, index: int) -> int:
        """Of a token that lies in no picture, or begins one."""
        lost = 0
        for end, more in self._lost.get(sequence, ()):
            if end > index:
                break
            lost = more
        return index - lost

    def passed(self, sequence: int, end: int, more: int) -> None:
        """The sequence now ends with a picture that has `more` tokens than positions."""
        if more:
            before = self._lost.get(sequence, ())
            self._lost[sequence] = (*before, (end, more + (before[-1][1] if before else 0)))

    def cut(self, sequence: int, length: int) -> None:
        """The sequence has its first `length` tokens alone."""
        if sequence in self._lost:
            self._lost[sequence] = tuple(one for one in self._lost[sequence] if one[0] <= length)

    def copy(self, sequence: int, other: int, length: int) -> None:
        """`other` has the first `length` tokens too."""
        self._lost.pop(other, None)
        if sequence in self._lost:
            self._lost[other] = tuple(one for one in self._lost[sequence] if one[0] <= length)

    def forget(self, sequence: int) -> None:
        """It is empty."""
        self._lost.pop(sequence, None)

    def pack(self, sequence: int, state: bytes) -> bytes:
        """A sequence's state with what has to be kept of its places."""
        lost = self._lost.get(sequence, ())
        return b"".join((_MAGIC, struct.pack("<I", len(lost)), *(_PAIR.pack(*one) for one in lost), state)) if lost and state else state

    def unpack(self, sequence: int, packed: bytes) -> bytes:
        """The state that `pack` was given; its places are the sequence's from now on."""
        self._lost.pop(sequence, None)
        if not packed.startswith(_MAGIC):
            return packed
        (count,) = struct.unpack_from("<I", packed, len(_MAGIC))
        begin = len(_MAGIC) + 4
        end = begin + count * _PAIR.size
        self._lost[sequence] = tuple(_PAIR.iter_unpack(packed[begin:end]))
        return packed[end:]
