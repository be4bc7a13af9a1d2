"""A request on its way through the engine, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from app.core.errors import OndolError
from app.core.records import Piece, Waiting
from models.engine.adapters import Scales
from models.engine.chances import Heard
from models.engine.decoding import Chain
from models.engine.prefix import Held, Lineage
from models.engine.scoring import Echo
from models.engine.sight import Span
from models.engine.speculation import Drafter
from models.engine.speech import Speech


class Output(NamedTuple):
    """News of a request: its place in the queue, a piece of its text (the last one has a finish reason), or the error that ended it."""

    id: int
    news: Piece | Waiting | OndolError


class Stats(msgspec.Struct, frozen=True):
    """Requests at this moment, tokens computed and chosen since the start, cells of the KV cache, and how often one had to make room.

    `cells_used`: of those that run. `cells_kept`: beside them, for requests to come. `cached_tokens`: of prompts, that were there already.
    """

    running: int
    waiting: int
    prompt_tokens: int
    completion_tokens: int
    cells_used: int
    cells: int
    evictions: int
    steps: int
    cells_kept: int = 0
    cached_tokens: int = 0


class Request:
    """A request under way. `tokens` holds the prompt and all that was chosen; `done` of them are in the KV cache.

    `place` is what it was told last of its place in the queue; 0: nothing. `alternatives` stand beside the chance of each token;
    None where no chances are wanted. Only requests with the same adapters (`scales`) share a batch, or what the cache holds.
    `lineage` says with whom it shares cells, `cached` how much of its prompt was there when it came in (-1: it didn't yet),
    `stops` where its prompt is cut for others to go on from. `draft`: guesses that are computed with its last token
    in this step, by `drafter`. `spans` are the parts of pictures in its prompt, `rows` those that were made of the ones ahead. `echo`: its
    prompt, where that is scored and handed out too.
    """

    def __init__(
        self,
        id: int,
        tokens: list[int],
        *,
        rank: int,
        order: int,
        limit: int,
        chain: Chain,
        speech: Speech,
        alternatives: int | None = None,
        scales: Scales = (),
        chat: str = "",
        spans: Sequence[Span] = (),
        echo: Echo | None = None,
    ) -> None:
        self.id, self.tokens, self.rank, self.order, self.limit = id, tokens, rank, order, limit
        self.prompt_tokens, self.chain, self.speech = len(tokens), chain, speech
        self.alternatives, self.scales, self.heard = alternatives, scales, Heard()
        self.sequence, self.done, self.place = -1, 0, 0
        self.chat, self.lineage, self.cached = chat, Lineage(), -1
        self.stops: set[int] = set()
        self.spans, self.rows = spans, dict[int, Any]()  # by where a span starts
        self.drafter, self.draft = Drafter(len(tokens)), list[int]()
        self.echo = echo

    @property
    def held(self) -> Held:
        """What it has in the cache, for others to go on from."""
        return Held(self.sequence, self.tokens[: self.done], self.scales, False, self.chat, self.rank)

    @property
    def wanted(self) -> Held:
        """All that it will have there; of a prompt that is scored, what it can take from others, and one more."""
        tokens = self.tokens if self.echo is None or self.echo.done else self.tokens[: self.echo.usable + 1]
        return Held(self.sequence, tokens, self.scales, False, self.chat, self.rank)

    @property
    def coming(self) -> Held:
        """What it is about to have there: its prompt."""
        return Held(self.sequence, self.tokens[: self.prompt_tokens], self.scales, False, self.chat, self.rank)

    @property
    def pending(self) -> int:
        """How many of its tokens are still to be computed: 1 where it writes, more where its prompt is read."""
        return len(self.tokens) - self.done

    def looks(self, count: int) -> int:
        """How many of the last rows of such a part get scores: where something is chosen after them, or a prompt's own are wanted.

        The scores of all words that there are take a small model a fifth of a row's time.
        """
        if self.echo is not None:
            return len(self.draft) + self.echo.looks(self.done, count)
        return len(self.draft) + (self.done + count == len(self.tokens))

    @property
    def chosen(self) -> int:
        """How many tokens were generated."""
        return len(self.tokens) - self.prompt_tokens
