"""A request becomes a stream of tokens: many requests at once, in one batch, over one model.

    submit -> waiting -> running (prompt computed in chunks, then one token per step) -> done
                 ^          |
                 +----------+  sent out when the KV cache is full: its text so far stays, its tokens are computed again

`Engine` is for one thread: its owner calls `step` while it is not idle and hands on what comes back. It never waits.
`cancel` frees a request's cells at once, whatever its state; a step takes about `STEP_SECONDS` beside rows that
generate and `PROMPT_SECONDS` at most, which is how long a cancel may wait for its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from app.core.errors import BadRequest, Busy, ContextLengthExceeded, OndolError
from app.core.records import Generation, Piece, Priority, Usage
from models import sampling, scheduler
from models.sampling import Link
from models.scheduler import Limits, Row
from models.text_stream import TextStream

STEP_SECONDS = 0.1
PROMPT_SECONDS = 1.0
_RANKS = {Priority.CHAT: 0, Priority.TASK: 1, Priority.BULK: 2}


class Chain(Protocol):
    """A row's sampler."""

    def close(self) -> None:
        """Free it."""
        ...


class Model(Protocol):
    """What the engine asks of a loaded model (`models.llama.Model`)."""

    end_tokens: frozenset[int]

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text."""
        ...

    def chain(self, links: Sequence[Link], *, never: Sequence[int] = ()) -> Chain:
        """A new sampler."""
        ...


class Decoder(Protocol):
    """What the engine asks of a context (`models.llama.Decoder`)."""

    sequences: int
    batch: int

    @property
    def cells(self) -> int:
        """Tokens that the cache holds."""
        ...

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]]) -> tuple[int, list[int]]:
        """Compute (sequence, position, tokens) parts; (0 done, 1 no room, else an error; an index per part)."""
        ...

    def sample(self, chain: Any, index: int) -> int:
        """The next token after that part."""
        ...

    def forget(self, sequence: int) -> None:
        """Free a sequence's cells."""
        ...


class Output(NamedTuple):
    """News of a request: a piece of its text (the last one has a finish reason), or the error that ended it."""

    id: int
    news: Piece | OndolError


class Stats(msgspec.Struct, frozen=True):
    """Requests at this moment, tokens computed and chosen since the start, cells of the KV cache, and how often one had to make room."""

    running: int
    waiting: int
    prompt_tokens: int
    completion_tokens: int
    cells_used: int
    cells: int
    evictions: int
    steps: int


class Request:
    """A request under way. `tokens` holds the prompt and all that was chosen; `done` of them are in the KV cache."""

    def __init__(self, id: int, tokens: list[int], *, rank: int, order: int, limit: int, chain: Chain, text: TextStream) -> None:
        self.id, self.tokens, self.rank, self.order, self.limit = id, tokens, rank, order, limit
        self.prompt_tokens, self.chain, self.text = len(tokens), chain, text
        self.sequence, self.done = -1, 0

    @property
    def row(self) -> Row:
        """As the scheduler sees it."""
        return Row(self.id, self.rank, self.order, self.done, len(self.tokens) - self.done)

    @property
    def chosen(self) -> int:
        """How many tokens were generated."""
        return len(self.tokens) - self.prompt_tokens


class Engine:
    """Continuous batching over one model. Not thread-safe."""

    def __init__(
        self,
        model: Model,
        decoder: Decoder,
        *,
        context: int,
        max_queue: int = 32,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model, self._decoder, self._context, self._max_queue, self._clock = model, decoder, context, max_queue, clock
        self._cells = decoder.cells
        self._free = set(range(decoder.sequences))
        self._running: dict[int, Request] = {}
        self._waiting: dict[int, Request] = {}
        self._prompt_speed = 0.0  # seconds per token
        self._order = self._prompt_tokens = self._completion_tokens = self._evictions = self._steps = 0

    @property
    def idle(self) -> bool:
        """Nothing to do."""
        return not self._running and not self._waiting

    def submit(
        self, id: int, tokens: list[int], request: Generation, priority: Priority = Priority.CHAT, *, stop: Sequence[str] = ()
    ) -> None:
        """Queue a request; `stop` are the template's own stop strings.

        `Busy` when the queue is full, `ContextLengthExceeded` with both counts, `BadRequest` for values out of range.
        """
        sampling.check(request.sampling)
        if request.max_tokens is not None and request.max_tokens < 1:
            raise BadRequest(f"max_tokens is {request.max_tokens}.", hint="Give a number of at least 1.", param="max_tokens")
        if len(tokens) + 1 > self._context:
            raise ContextLengthExceeded(prompt_tokens=len(tokens), context=self._context)
        if len(self._waiting) >= self._max_queue:
            raise Busy(f"{len(self._waiting)} requests are waiting.", retry_after=1.0 + len(self._waiting) / 4, hint="Try again soon.")
        room = self._context - len(tokens)
        limit = min(room, request.max_tokens or room)
        never = sorted(self._model.end_tokens) if request.ignore_eos else ()
        links = sampling.chain(request.sampling, answer_limit=limit, seed=sampling.seed(request.sampling))
        self._order += 1
        self._waiting[id] = Request(
            *(id, list(tokens)),
            rank=_RANKS[priority],
            order=self._order,
            limit=limit,
            chain=self._model.chain(links, never=never),
            text=TextStream((*request.stop, *stop)),
        )

    def cancel(self, id: int) -> None:
        """Forget a request and free what it holds; nothing happens when it has ended."""
        request = self._running.pop(id, None) or self._waiting.pop(id, None)
        if request is not None:
            self._release(request)
            request.chain.close()

    def step(self) -> list[Output]:
        """Decide, compute one batch, choose a token for every row whose prompt is done, and hand out text."""
        plan = scheduler.schedule(_rows(self._running), _rows(self._waiting), self._limits())
        for id in plan.evict:
            self._move_out(id)
        for id in plan.admit:
            self._move_in(id)
        work = sorted(((self._running[id], count) for id, count in plan.work), key=lambda one: one[0].sequence)
        status, ends = self._decode(work)
        if status:
            return self._failed(status, [request for request, _ in work])
        outputs = []
        for (request, count), end in zip(work, ends, strict=True):
            request.done += count
            if request.done == len(request.tokens):
                outputs += self._advance(request, self._decoder.sample(request.chain, end))
        return outputs

    def stats(self) -> Stats:
        """Counters for metrics and tests."""
        used = sum(request.done for request in self._running.values())
        counts = (self._prompt_tokens, self._completion_tokens, used, self._cells, self._evictions, self._steps)
        return Stats(len(self._running), len(self._waiting), *counts)

    def _limits(self) -> Limits:
        batch = scheduler.chunk(self._prompt_speed, PROMPT_SECONDS, self._decoder.batch)
        chunk = scheduler.chunk(self._prompt_speed, STEP_SECONDS, batch)
        return Limits(slots=self._decoder.sequences, cells=self._cells, batch=max(batch, self._decoder.sequences), chunk=chunk)

    def _decode(self, work: Sequence[tuple[Request, int]]) -> tuple[int, list[int]]:
        parts = [(request.sequence, request.done, request.tokens[request.done : request.done + count]) for request, count in work]
        began = self._clock()
        status, ends = self._decoder.decode(parts)
        prompts = sum(count for _, count in work if count > 1)
        if not status and prompts >= scheduler.SMALLEST_CHUNK:
            speed = (self._clock() - began) / (prompts + len(work))
            self._prompt_speed = speed if not self._prompt_speed else (self._prompt_speed + speed) / 2
        self._steps += 1
        self._prompt_tokens += prompts
        return status, ends

    def _advance(self, request: Request, token: int) -> list[Output]:
        """Take the chosen token in: text, the end of the answer, or nothing to say yet."""
        request.tokens.append(token)
        self._completion_tokens += 1
        ended = token in self._model.end_tokens
        text = "" if ended else request.text.feed(self._model.piece(token))
        if ended or request.text.stopped:
            return [self._finish(request, text, "stop")]
        if request.chosen >= request.limit:
            return [self._finish(request, text, "length")]
        return [Output(request.id, Piece(text))] if text else []

    def _finish(self, request: Request, text: str, reason: str) -> Output:
        self.cancel(request.id)
        usage = Usage(request.prompt_tokens, request.chosen)
        return Output(request.id, Piece(text + request.text.finish(), reason, usage))

    def _failed(self, status: int, involved: Sequence[Request]) -> list[Output]:
        """No room although we counted some: count less, so that the next step sends one out. Other errors end the rows of the batch."""
        if status == 1 and len(self._running) > 1:
            rows = _rows(self._running)
            self._cells = min(self._cells, sum(row.cells + row.pending for row in rows) - 1)
            return []
        for request in involved:
            self.cancel(request.id)
        message = f"llama.cpp could not compute this request (status {status})."
        return [
            Output(request.id, OndolError(message, hint="Try again; if it happens again, load the model anew.")) for request in involved
        ]

    def _move_in(self, id: int) -> None:
        request = self._running[id] = self._waiting.pop(id)
        request.sequence = min(self._free)
        self._free.remove(request.sequence)

    def _move_out(self, id: int) -> None:
        request = self._waiting[id] = self._running.pop(id)
        self._release(request)
        self._evictions += 1

    def _release(self, request: Request) -> None:
        if request.sequence >= 0:
            self._decoder.forget(request.sequence)
            self._free.add(request.sequence)
            request.sequence, request.done = -1, 0


def _rows(requests: dict[int, Request]) -> list[Row]:
    return [request.row for request in requests.values()]
