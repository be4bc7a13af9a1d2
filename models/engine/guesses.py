"""Tokens that are guessed for a row that generates alone, and computed with its last one; what was wrong leaves the cache."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from models.engine import scheduler
from models.engine.decoding import Decoder
from models.engine.request import Request
from models.engine.speculation import Speculation


class Guesses:
    """Over one decoder. `speculation`: when guessing pays; None: never, nor where a model can't take back what was computed."""

    def __init__(self, decoder: Decoder, speculation: Speculation | None) -> None:
        self._decoder = decoder
        self._speculation = speculation if decoder.truncates and not decoder.window else None

    def make(self, work: Sequence[tuple[Request, int]], *, alone: bool, cells: int) -> None:
        """Guesses for the first of a step's work, where it runs `alone` and there is room for them in so many `cells`."""
        for request, _ in work:
            request.draft = []
        if self._speculation is None or not alone or not work:
            return
        request, _ = work[0]
        if request.done + 1 < len(request.tokens):
            return
        room = min(cells - len(request.tokens) - scheduler.SLACK, self._decoder.batch - 1)
        request.drafter.follow(request.tokens)
        # The last token of an answer is no guess: once all guesses were right, one more is chosen anyway.
        most = min(room, request.limit - request.chosen - 1)
        draft = request.drafter.draft(request.tokens, self._speculation.length(request.drafter.trust, most))
        request.draft = list(itertools.takewhile(lambda token: token >= 0, draft))  # a picture is no word to guess

    def take_back(self, request: Request) -> None:
        """What was computed of guesses beyond the text leaves the cache."""
        if request.draft and request.sequence >= 0:
            self._decoder.truncate(request.sequence, request.done)
        request.draft = []
