"""Bytes become tokens whose pieces are exactly these bytes, wherever they were cut."""

from __future__ import annotations

from collections.abc import Callable


class Speller:
    """`tokenize` and `piece` of one vocabulary of `size` tokens. What the tokenizer would add (a first blank) is spelled byte by byte."""

    def __init__(self, size: int, tokenize: Callable[[str], list[int]], piece: Callable[[int], bytes]) -> None:
        self._size, self._tokenize, self._piece = size, tokenize, piece
        self._letters: dict[bytes, int] = {}

    def spell(self, data: bytes) -> list[int]:
        """The tokens; without those bytes that no token is."""
        try:
            tokens = self._tokenize(data.decode())
        except UnicodeDecodeError:
            tokens = []
        if tokens and b"".join(map(self._piece, tokens)) == data:
            return tokens
        if not self._letters:
            pieces = ((self._piece(token), token) for token in range(self._size))
            self._letters = {piece: token for piece, token in pieces if len(piece) == 1}
        return [self._letters[letter] for byte in data if (letter := bytes((byte,))) in self._letters]
