"""What comes in is checked, and becomes a request with all that it needs to run: its sampler, its speech, its limits."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.errors import BadRequest, ContextLengthExceeded
from app.core.records import Generation, Priority
from models.engine import full, sampling
from models.engine.adapters import Scales, scales
from models.engine.decoding import Model
from models.engine.grammar.rule import Rule
from models.engine.request import Request
from models.engine.scoring import Echo
from models.engine.sight import Span
from models.engine.speech import Speech

_RANKS = {Priority.CHAT: 0, Priority.TASK: 1, Priority.BULK: 2}


class Entrance:
    """Of one model. `context`: tokens of a prompt and its answer; `batch`: of a picture that must be seen at once."""

    def __init__(self, model: Model, *, context: int, batch: int, max_queue: int, adapters: Scales) -> None:
        self._model, self._context, self._batch, self._max_queue, self._adapters = model, context, batch, max_queue, adapters
        self._order = 0

    def request(
        self,
        id: int,
        tokens: list[int],
        wanted: Generation,
        priority: Priority,
        speech: Speech | None,
        rule: Rule | None,
        *,
        chat: str,
        spans: Sequence[Span],
        waiting: int,
    ) -> Request:
        """A request like those that `Engine.submit` is given; its errors.

        `waiting`: how many there are already beyond those that can run at once; below 0 where places are free.
        """
        sampling.check(wanted.sampling)
        if wanted.logit_bias:
            sampling.check_bias(wanted.logit_bias, self._model.vocabulary_size)
        adapted = scales(wanted.adapters, self._adapters)
        if wanted.max_tokens is not None and wanted.max_tokens < 0:
            raise BadRequest(f"max_tokens is {wanted.max_tokens}.", hint="Give a number of at least 0.", param="max_tokens")
        if len(tokens) + 1 > self._context:
            raise ContextLengthExceeded(prompt_tokens=len(tokens), context=self._context)
        if any(span.length > self._batch for span in spans if not span.causal):
            raise BadRequest("A picture is too large for this model to see at once.", hint="Make it smaller.", param="messages")
        if waiting >= self._max_queue:
            raise full.busy(waiting)
        room = self._context - len(tokens)
        limit = room if wanted.max_tokens is None else min(room, wanted.max_tokens)
        never = sorted(self._model.end_tokens) if wanted.ignore_eos else ()
        links = sampling.chain(wanted.sampling, answer_limit=limit, seed=sampling.seed(wanted.sampling), bias=wanted.logit_bias)
        self._order += 1
        return Request(
            *(id, list(tokens)),
            rank=_RANKS[priority],
            order=self._order,
            limit=limit,
            chain=self._model.chain(links, never=never, rule=rule),
            speech=speech or Speech(wanted.stop),
            alternatives=wanted.logprobs,
            scales=adapted,
            chat=chat,
            spans=spans,
            echo=Echo(tokens, wanted.prompt or "", wanted.logprobs or 0, self._model.written) if wanted.echo else None,
        )
