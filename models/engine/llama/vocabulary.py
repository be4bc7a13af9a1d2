"""Text becomes tokens by a vocabulary of llama.cpp's."""

from __future__ import annotations

from typing import Any

from llama_cpp import llama_cpp as native


def tokenize(vocab: Any, text: str, *, whole: bool, special: bool) -> list[int]:
    """A text's tokens. `whole`: with those that the model wants around a text; `special`: control words become control tokens."""
    data = text.encode("utf-8", "replace")
    room = len(data) + 8
    while True:
        tokens = (native.llama_token * room)()
        count = native.llama_tokenize(vocab, data, len(data), tokens, room, whole, special)
        if count >= 0:
            return list(tokens[:count])
        room = -count
