"""AES-128 in ECB mode, decryption alone (FIPS 197): distributed HWP documents carry their own key, so nothing here guards a secret.

All blocks are worked on at once: byte n of every block stands in the nth column, and a table or an XOR goes over a whole column in C.
"""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 16
_ROUNDS = 10


def _times(left: int, right: int) -> int:
    """The product in AES's field of 256 elements."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = (left << 1) ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return product


def _substitutions() -> Iterator[int]:
    for value in range(256):
        # In this field the inverse is the 254th power.
        inverse = 1
        for _ in range(254):
            inverse = _times(inverse, value)
        mixed = 0x63
        for turn in range(5):
            mixed ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xFF
        yield mixed


_SUBSTITUTE = bytes(_substitutions())
_BACK = bytes(_SUBSTITUTE.index(value) for value in range(256))
_TIMES = {factor: bytes(_times(value, factor) for value in range(256)) for factor in (9, 11, 13, 14)}
_MIX = ((14, 11, 13, 9), (9, 14, 11, 13), (13, 9, 14, 11), (11, 13, 9, 14))


def decrypt(data: bytes, key: bytes) -> bytes:
    """The whole blocks of `data`, decrypted; what is over at its end is left out. `key` has 16 bytes."""
    blocks = len(data) // BLOCK
    columns = [data[at : blocks * BLOCK : BLOCK] for at in range(BLOCK)]
    keys = list(_round_keys(key))
    columns = [_xor(column, bytes([add]) * blocks) for column, add in zip(columns, keys[_ROUNDS], strict=True)]
    for turn in range(_ROUNDS - 1, -1, -1):
        # Row r of the 4 x 4 state (byte 4c + r) goes r places to the right.
        columns = [columns[(at - 4 * (at % 4)) % BLOCK].translate(_BACK) for at in range(BLOCK)]
        columns = [_xor(column, bytes([add]) * blocks) for column, add in zip(columns, keys[turn], strict=True)]
        if turn:
            columns = [_mixed(columns[at - at % 4 : at - at % 4 + 4], _MIX[at % 4]) for at in range(BLOCK)]
    out = bytearray(blocks * BLOCK)
    for at, column in enumerate(columns):
        out[at::BLOCK] = column
    return bytes(out)


def _mixed(word: list[bytes], factors: tuple[int, ...]) -> bytes:
    found = bytes(len(word[0]))
    for column, factor in zip(word, factors, strict=True):
        found = _xor(found, column.translate(_TIMES[factor]))
    return found


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "little") ^ int.from_bytes(right, "little")).to_bytes(len(left), "little")


def _round_keys(key: bytes) -> Iterator[bytes]:
    words = [key[at : at + 4] for at in range(0, BLOCK, 4)]
    constant = 1
    while len(words) < 4 * (_ROUNDS + 1):
        word = words[-1]
        if len(words) % 4 == 0:
            word = (word[1:] + word[:1]).translate(_SUBSTITUTE)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times(constant, 2)
        words.append(_xor(words[-4], word))
    return (b"".join(words[at : at + 4]) for at in range(0, len(words), 4))
