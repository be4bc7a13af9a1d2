"""A prompt that is scored: how likely the model held each of its tokens after those before it.

What stands after a token says how likely the next one was: so all of such a prompt is computed with scores. None of it is taken from
the cache before its chances were told, and a step holds at most `ROWS` of such scores, of all requests together, since each has a
place for every token of the vocabulary. They are read as soon as they are there; nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from app.core.records import Chance, Piece
from models.engine.chances import Heard, chance
from models.engine.text_stream import TextStream

if TYPE_CHECKING:
    from models.engine.request import Request

ROWS = 32  # beside rows that write that stays below 64, from where on llama.cpp adds up in another order


class Echo:
    """A prompt on its way out, as the beginning of its own answer. `told`: how many of its tokens have their chances.

    `text` is what the caller wrote: what the model is given before it (its first token, a blank) becomes no text.
    """

    def __init__(self, tokens: Sequence[int], text: str, alternatives: int, written: Callable[[int], bytes]) -> None:
        self._tokens, self._alternatives, self._written = tuple(tokens), alternatives, written
        self._pieces = _without_more([written(token) for token in tokens], text.encode())
        self._stream, self._heard = TextStream(), Heard()
        self.told = 0

    @property
    def done(self) -> bool:
        """Whether all of its tokens have their chances."""
        return self.told == len(self._tokens)

    @property
    def usable(self) -> int:
        """How many of its tokens may come from the cache: the scores after the last one that was told are still wanted."""
        return len(self._tokens) if self.done else max(0, self.told - 1)

    def looks(self, done: int, count: int) -> int:
        """After how many of the last of `count` tokens scores are wanted, where `done` come before them; one at least."""
        return 1 if self.done else max(1, done + count - max(done, self.told - 1))

    def read(self, done: int, count: int, scores: Callable[[int], Any], end: int) -> Piece:
        """The text that such a part has scored, with its chances. `end`: where the scores after its last token lie."""
        found = [] if self.told else [Chance(self._tokens[0], self._pieces[0])]
        for index in range(max(1, self.told), min(done + count, len(self._tokens) - 1) + 1):
            one = chance(scores(end - (done + count - index)), self._tokens[index], self._alternatives, self._written)
            found.append(Chance(one.token, self._pieces[index], one.logprob, one.top))
        for one in found:
            self._heard.hear(one)
        self.told += len(found)
        text = self._stream.feed(b"".join(one.data for one in found))
        # As at the end of an answer: tokens of half a character are told, too.
        piece = self._heard.told(Piece(text, "length" if self.done else None))
        return Piece(piece.text, chances=piece.chances)


def bounded(parts: Iterable[tuple[Request, int]]) -> list[tuple[Request, int]]:
    """These parts of a step with no more than `ROWS` scored rows in all; the first in their order get them."""
    left, found = ROWS, []
    for request, count in parts:
        if request.echo is not None and (rows := request.echo.looks(request.done, count)) > 1:
            # Not one token alone of several: a step would take it for a row that writes.
            count -= max(0, rows - left) if left > 1 else count
            left -= min(left, rows)
        if count > 0:
            found.append((request, count))
    return found


def _without_more(pieces: Sequence[bytes], text: bytes) -> list[bytes]:
    """The bytes of tokens as far as they are the text's own."""
    whole, found = b"".join(pieces), []
    more = len(whole) - len(text) if whole.endswith(text) else 0
    for piece in pieces:
        found.append(piece[more:])
        more = max(0, more - len(piece))
    return found
