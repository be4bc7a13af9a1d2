"""A request becomes a stream of tokens: many requests at once, in one batch, over one model.

    submit -> waiting -> running (prompt computed in chunks, then one token per step) -> done
                 ^          |
                 +----------+  sent out when the KV cache is full: its text so far stays, what is lost of its tokens is computed again

What a request leaves in the cache is kept (`keeping`): a prompt that begins as another one did is computed from where they part.
Who begins as one whose prompt is being computed waits until that beginning is there.

`Engine` is for one thread: its owner calls `step` while it is not idle and hands on what comes back. It never waits.
How long a step may take says `pace`. `cancel` frees a request's cells at
once for whoever needs them. `abandon`, which any other thread may call before, ends the step that computes the request now:
what the others had in it is computed again. So a cancel waits for milliseconds; on a GPU, which can't be stopped, for a step.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence

from app.core.errors import BadRequest, Busy, ContextLengthExceeded, OndolError, foreign
from app.core.records import Generation, Piece, Priority, Usage
from models.engine import prefix, sampling, scheduler, scoring, sight
from models.engine.adapters import Scales, scales
from models.engine.arrivals import Arrivals
from models.engine.chances import chance
from models.engine.decoding import DONE, INTERRUPTED, NO_ROOM, Decoder, Model
from models.engine.grammar.rule import Rule
from models.engine.images import whole
from models.engine.interrupt import Abandoned
from models.engine.keeping import Keeping
from models.engine.pace import Pace
from models.engine.prefix import Lineage
from models.engine.request import Output, Request, Stats
from models.engine.scheduler import Limits, Row
from models.engine.scoring import Echo
from models.engine.shelf import Shelf
from models.engine.sight import Blind, Eyes, Span
from models.engine.speculation import Speculation
from models.engine.speech import Said, Speech
from models.engine.trials import Trials

log = logging.getLogger(__name__)
MOST_INTERRUPTED = 3  # steps in a row; then one goes through, so that clients who come and go can't keep the others from getting on
_RANKS = {Priority.CHAT: 0, Priority.TASK: 1, Priority.BULK: 2}


class Engine:
    """Continuous batching over one model. Not thread-safe, but for `abandon`."""

    def __init__(
        self,
        model: Model,
        decoder: Decoder,
        *,
        context: int,
        max_queue: int = 32,
        adapters: Scales = (),
        parallel: int | None = None,
        keep: int | None = None,
        beside: int | None = None,
        shelf: Shelf | None = None,
        speculation: Speculation | None = None,
        eyes: Eyes | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`parallel` requests run at once (None: one on each sequence); `keep` cells are kept, `beside` requests that run (None: all).

        `speculation`: when tokens are guessed; never for models that can't take back all of what was computed. `eyes` see pictures.
        """
        self._model, self._decoder, self._context, self._max_queue, self._clock = model, decoder, context, max_queue, clock
        self._cells = decoder.cells
        self._adapters = adapters
        self._parallel = decoder.sequences if parallel is None else parallel
        self._keeping = Keeping(decoder, clock=clock, shelf=shelf, limit=keep, beside=beside)
        self._arrivals = Arrivals(self._keeping, cuts=decoder.truncates)
        self._running: dict[int, Request] = {}
        self._waiting: dict[int, Request] = {}
        self._work: list[tuple[Request, int]] = []
        self._speculation = speculation if decoder.truncates and not decoder.window else None
        self._eyes: Eyes = eyes or Blind()
        self._looking = False
        self.stalled = False  # everybody waits for pictures to be seen
        self._abandoned = Abandoned(decoder.interrupt)
        self._interrupted = 0
        self._trials = Trials()
        self._pace = Pace()
        self._order = self._cached_tokens = self._prompt_tokens = self._completion_tokens = self._evictions = self._steps = 0

    @property
    def idle(self) -> bool:
        """Nothing to do."""
        return not self._running and not self._waiting

    @property
    def crowd(self) -> tuple[int, int]:
        """How many requests run, and how many wait."""
        return len(self._running), len(self._waiting)

    def submit(
        self,
        id: int,
        tokens: list[int],
        request: Generation,
        priority: Priority = Priority.CHAT,
        speech: Speech | None = None,
        rule: Rule | None = None,
        chat: str = "",
        spans: Sequence[Span] = (),
    ) -> None:
        """Queue a request; `speech` makes text of its tokens (without one: all of it text, up to the request's stop strings).

        `rule` binds what the model writes to a grammar. `chat` names the chat whose turns go on from each other. `spans` are the parts
        of pictures among the tokens.

        `Busy` when the queue is full, `ContextLengthExceeded` with both counts, `BadRequest` for values out of range.
        """
        sampling.check(request.sampling)
        if request.logit_bias:
            sampling.check_bias(request.logit_bias, self._model.vocabulary_size)
        adapted = scales(request.adapters, self._adapters)
        if request.max_tokens is not None and request.max_tokens < 0:
            raise BadRequest(f"max_tokens is {request.max_tokens}.", hint="Give a number of at least 0.", param="max_tokens")
        if len(tokens) + 1 > self._context:
            raise ContextLengthExceeded(prompt_tokens=len(tokens), context=self._context)
        if any(span.length > self._decoder.batch for span in spans if not span.causal):
            raise BadRequest("A picture is too large for this model to see at once.", hint="Make it smaller.", param="messages")
        if len(self._waiting) >= self._max_queue:
            raise Busy(f"{len(self._waiting)} requests are waiting.", retry_after=1.0 + len(self._waiting) / 4, hint="Try again soon.")
        room = self._context - len(tokens)
        limit = room if request.max_tokens is None else min(room, request.max_tokens)
        never = sorted(self._model.end_tokens) if request.ignore_eos else ()
        links = sampling.chain(request.sampling, answer_limit=limit, seed=sampling.seed(request.sampling), bias=request.logit_bias)
        self._order += 1
        self._waiting[id] = Request(
            *(id, list(tokens)),
            rank=_RANKS[priority],
            order=self._order,
            limit=limit,
            chain=self._model.chain(links, never=never, rule=rule),
            speech=speech or Speech(request.stop),
            alternatives=request.logprobs,
            scales=adapted,
            chat=chat,
            spans=spans,
            echo=Echo(tokens, request.prompt or "", request.logprobs or 0, self._model.written) if request.echo else None,
        )

    def abandon(self, id: int) -> None:
        """From any thread, before `cancel` is called for this id: the step that computes it now ends early."""
        self._abandoned.add(id)

    def cancel(self, id: int) -> None:
        """Forget a request; its cells are free for whoever needs them. Nothing happens when it has ended."""
        self._end(id)

    def save(self) -> bool:
        """While idle: bring a bit of what is kept to safety; False when nothing is left to do."""
        return self._keeping.save()

    def step(self) -> list[Output]:
        """Decide, compute one batch, choose a token for every row whose prompt is done, and hand out places and text."""
        return [*self.arrange(), *self.compute()]

    def arrange(self) -> list[Output]:
        """The first half of a step, which takes no time: who is let in and who makes room; places in the queue that have changed."""
        blind = self._look()
        work = [(id, 1) for id in self._running] if self._plain() else self._planned()
        parts = ((self._running[id], count) for id, count in self._trials.narrow(work))
        cut = scoring.bounded((one, self._cut(one, count)) for one, count in parts)
        self._work = sorted(cut, key=lambda part: part[0].sequence)
        self.stalled = not self._work
        self._guess()
        return [*blind, *self._arrivals.places(self._waiting.values(), self._running.keys())]

    def _plain(self) -> bool:
        """Whether nobody waits and all write and have room: then a plan would say no more than that each gets its token."""
        rows = self._running.values()
        plain = not self._waiting and not self._adapters and all(one.pending == 1 and not one.spans for one in rows)
        return plain and sum(len(one.tokens) for one in rows) <= self._cells

    def _planned(self) -> Sequence[tuple[int, int]]:
        """Let in and send out by the scheduler's plan; the tokens that are computed of each request."""
        limits = self._limits()
        plan = scheduler.schedule(self._rows(), self._arrivals.rows(self._waiting.values(), self._running.values()), limits)
        for id in plan.evict:
            self._move_out(id)
        for id in plan.admit:
            self._move_in(id)
        # Who was let in may have found most of its prompt.
        return scheduler.share(self._rows(), limits) if plan.admit else plan.work

    def compute(self) -> list[Output]:
        """The second half, right after the first: the batch, and the text that comes of it."""
        work, self._work = self._work, []
        outputs: list[Output] = []
        for part in _batches(work):
            status, ends = self._decode(part)
            if status:
                return [*outputs, *self._failed(status, part)]
            outputs += self._computed(part, ends)
        self._trials.passed()
        return outputs

    def _computed(self, work: Sequence[tuple[Request, int]], ends: Sequence[int]) -> list[Output]:
        outputs: list[Output] = []
        for (request, count), end in zip(work, ends, strict=True):
            request.done += count
            if request.done in request.stops:
                self._keeping.checkpoint(request.held, request.lineage)
            try:
                outputs += self._told(request, count, end)
                if request.done == len(request.tokens):
                    outputs += self._choose_all(request, end)
            # One row's sampler, grammar or speech must not end the others.
            except Exception as error:  # noqa: BLE001
                outputs.append(self._broken(request, error))
        return outputs

    def _told(self, request: Request, count: int, end: int) -> list[Output]:
        """What this part has scored of a prompt that is handed out too."""
        if request.echo is None or request.echo.done:
            return []
        piece = request.echo.read(request.done - count, count, self._decoder.scores, end)
        return [Output(request.id, piece)] if piece.chances else []

    def brief(self, seconds: float) -> bool:
        """Whether the step that comes next is short: rows that write alone, as quick as they were so far."""
        return 0 < self._pace.usual <= seconds and all(one.pending == 1 for one in self._running.values())

    def stats(self) -> Stats:
        """Counters for metrics and tests."""
        used = sum(request.done for request in self._running.values())
        running = self._lineages()
        counts = (self._prompt_tokens, self._completion_tokens, used, self._cells, self._evictions, self._steps)
        kept = self._keeping.cells(running) - prefix.cells(running)
        return Stats(len(self._running), len(self._waiting), *counts, kept, self._cached_tokens)

    def _limits(self) -> Limits:
        reading = [one for one in self._running.values() if one.pending > 1]
        coming = list(self._waiting.values())[: self._parallel - len(self._running)]
        # Of a prompt all counts that wasn't there when it came, so that the end of a long one is not taken for a short one.
        tokens = sum(len(one.tokens) - max(0, one.cached) for one in [*reading, *coming])
        crowd = len(self._running) - len(reading), len(reading) + len(coming)
        batch, chunk = self._pace.prompts(self._decoder.batch, *crowd, tokens)
        return Limits(slots=self._parallel, cells=self._cells, batch=max(batch, self._parallel), chunk=chunk, turn=self._steps)

    def _look(self) -> list[Output]:
        """See to the pictures of those who run, the first in the order first; who can't be helped ends with the reason."""
        outputs, missing = [], []
        for request in sorted((one for one in self._running.values() if one.spans), key=lambda one: (one.rank, one.order)):
            try:
                missing += sight.gather(request, self._eyes)
            except OndolError as error:
                self._end(request.id)
                outputs.append(Output(request.id, error))
        self._eyes.want(missing)
        if self._looking != self._eyes.busy:
            self._looking = self._eyes.busy
            self._decoder.spare(self._eyes.threads if self._looking else 0)
        return outputs

    def _guess(self) -> None:
        """Guesses for a row that generates alone, where there is room for them."""
        for request, _ in self._work:
            request.draft = []
        if self._speculation is None or len(self._running) != 1 or not self._work:
            return
        request, _ = self._work[0]
        if request.done + 1 < len(request.tokens):
            return
        room = min(self._cells - len(request.tokens) - scheduler.SLACK, self._decoder.batch - 1)
        request.drafter.follow(request.tokens)
        # The last token of an answer is no guess: once all guesses were right, one more is chosen anyway.
        most = min(room, request.limit - request.chosen - 1)
        draft = request.drafter.draft(request.tokens, self._speculation.length(request.drafter.trust, most))
        request.draft = list(itertools.takewhile(lambda token: token >= 0, draft))  # a picture is no word to guess

    def _choose_all(self, request: Request, end: int) -> list[Output]:
        """The next token, and those after it as long as the one before was guessed; `end`: the logits of the last guess."""
        if not request.limit:
            return [self._finish(request, Said(), "length")]
        outputs, draft = [], request.draft
        for offset in range(len(draft) + 1):
            outputs += self._choose(request, end - len(draft) + offset)
            if request.id not in self._running or offset == len(draft) or request.tokens[-1] != draft[offset]:
                break
            request.done += 1
        self._take_back(request)
        return outputs

    def _take_back(self, request: Request) -> None:
        """What was computed of guesses beyond the text leaves the cache."""
        if request.draft and request.sequence >= 0:
            self._decoder.truncate(request.sequence, request.done)
        request.draft = []

    def _choose(self, request: Request, end: int) -> list[Output]:
        """The next token after a part whose logits lie at `end`, with its chance where that is wanted."""
        token = self._decoder.sample(request.chain, end)
        if request.alternatives is None:
            return self._advance(request, token)
        ended = token in self._model.end_tokens
        if not ended:
            request.heard.hear(chance(self._decoder.scores(end), token, request.alternatives, self._model.written))
        outputs = self._advance(request, token)
        stopped = not ended and request.speech.stopped
        return [
            Output(request.id, request.heard.told(one.news, stopped=stopped) if isinstance(one.news, Piece) else one.news)
            for one in outputs
        ]

    def _decode(self, work: Sequence[tuple[Request, int]]) -> tuple[int, list[int]]:
        parts = [
            (request.sequence, request.done, [*request.tokens[request.done : request.done + count], *request.draft])
            for request, count in work
        ]
        # Where the others would have to begin anew, they are not disturbed.
        self._keeping.make_room(self._lineages(), sum(len(tokens) for _, _, tokens in parts), self._cells)
        may_end = len(work) == 1 or (self._decoder.truncates and self._interrupted < MOST_INTERRUPTED)
        if not self._abandoned.begin({request.id for request, _ in work}, may_end=may_end):
            return INTERRUPTED, []
        began = self._clock()
        try:
            if self._adapters and work:
                self._decoder.adapt(work[0][0].scales)
            status, ends = self._picture(*work[0]) or self._decoder.decode(parts, [request.looks(count) for request, count in work])
        finally:
            self._abandoned.end()
        self._steps += 1
        self._interrupted = self._interrupted + 1 if status == INTERRUPTED else 0
        if status == DONE:
            prompts = sum(count for _, count in work if count > 1)
            self._prompt_tokens += prompts
            self._pace.passed(self._clock() - began, prompts, sum(count == 1 for _, count in work))
        return status, ends

    def _picture(self, request: Request, count: int) -> tuple[int, list[int]] | None:
        """Compute a part of a picture, where the request's next tokens are of one."""
        span = sight.span_at(request.spans, request.done)
        if span is None:
            return None
        offset = request.done - span.start
        return self._decoder.see(request.sequence, span, offset, request.rows[span.start][offset : offset + count]), [-1]

    def _advance(self, request: Request, token: int) -> list[Output]:
        """Take the chosen token in: text, the end of the answer, or nothing to say yet."""
        request.tokens.append(token)
        self._completion_tokens += 1
        ended = token in self._model.end_tokens
        said = Said() if ended else request.speech.feed(self._model.piece(token))
        if ended or request.speech.stopped:
            return [self._finish(request, said, "stop")]
        if request.chosen >= request.limit:
            return [self._finish(request, said, "length")]
        return [Output(request.id, Piece(said.text, reasoning=said.reasoning, calls=said.calls))] if any(said) else []

    def _finish(self, request: Request, said: Said, reason: str) -> Output:
        self._end(request.id)
        said += request.speech.finish()
        reason = "tool_calls" if reason == "stop" and request.speech.called else reason
        usage = Usage(request.prompt_tokens, request.chosen, max(0, request.cached))
        return Output(request.id, Piece(said.text, reason, usage, said.reasoning, said.calls))

    def _broken(self, request: Request, error: Exception) -> Output:
        log.error("a row failed after %d tokens", request.chosen, exc_info=error)
        self._end(request.id, keep=False)
        return Output(request.id, foreign(error))

    def _failed(self, status: int, work: Sequence[tuple[Request, int]]) -> list[Output]:
        """What a batch that came to nothing means: once more, with fewer rows, or the end of the one row that it fails with."""
        if status == INTERRUPTED:
            for request, _ in work:
                self._put_right(request)
            return []
        if status == NO_ROOM and self._keeping.clear():
            return []
        if status == NO_ROOM and any(request.draft for request, _ in work):
            self._cells = min(self._cells, len(work[0][0].tokens) + scheduler.SLACK)
            return []
        if status == NO_ROOM and len(self._running) > 1:
            # There is less room than we counted: count less, so that the next step sends a row out.
            rows = self._rows()
            self._cells = min(self._cells, sum(row.cells + row.pending for row in rows) - 1)
            return []
        log.warning("llama.cpp could not compute a batch of %d rows (status %d)", len(work), status)
        for request, _ in work:
            self._put_right(request)
        given_up = self._trials.failed([(request.id, count) for request, count in work])
        if given_up is None:
            return []
        self._end(given_up, keep=False)
        message = f"llama.cpp could not compute this request (status {status})."
        return [Output(given_up, OndolError(message, hint="Try again; if it happens again, load the model anew."))]

    def _put_right(self, request: Request) -> None:
        """The cache holds a request's `done` tokens again, and nothing of what an interrupted batch wrote, nor half a part of a picture."""
        request.done = whole(request.tokens, request.done)
        if not self._decoder.truncate(request.sequence, request.done):
            self._decoder.forget(request.sequence)
            request.done, request.lineage = 0, self._keeping.begin()

    def _rows(self) -> list[Row]:
        """The running requests as the scheduler sees them; cells that several share count for the first of them in its order."""
        requests = sorted(self._running.values(), key=lambda one: (one.rank, one.order))
        cells = prefix.added((one.lineage, one.done) for one in requests)
        return [
            Row(one.id, one.rank, one.order, count, one.pending, one.scales, sight.blocked(one))
            for one, count in zip(requests, cells, strict=True)
        ]

    def _lineages(self) -> list[tuple[Lineage, int]]:
        return [(request.lineage, request.done) for request in self._running.values()]

    def _cut(self, request: Request, count: int) -> int:
        """How many of `count` tokens go into this step: a prompt halts where a copy of it is to be kept."""
        ahead = [stop - request.done for stop in request.stops if stop > request.done]
        return sight.cut(request.spans, request.done, min([count, *ahead]))

    def _move_in(self, id: int) -> None:
        request = self._waiting.pop(id)
        others = {one.sequence: one for one in self._running.values()}
        place = self._keeping.enter(
            request.wanted, [one.held for one in others.values()], {number: one.lineage for number, one in others.items()}
        )
        request.sequence, request.done, request.lineage, request.place = place.sequence, place.length, place.lineage, 0
        if request.cached < 0:
            request.cached = place.length
            self._cached_tokens += place.length
        if not self._decoder.truncates:
            # The next turn begins with this prompt, the same question asked again needs all of it but the last token, and where it
            # parts from earlier ones others may part too.
            request.stops |= {request.prompt_tokens - 1, self._keeping.parting(request.wanted)}
        self._running[id] = request

    def _move_out(self, id: int) -> None:
        request = self._waiting[id] = self._running.pop(id)
        self._leave(request)
        self._evictions += 1

    def _end(self, id: int, *, keep: bool = True) -> None:
        request = self._running.pop(id, None) or self._waiting.pop(id, None)
        if request is not None:
            self._leave(request, keep=keep)
            request.chain.close()
        self._abandoned.discard(id)

    def _leave(self, request: Request, *, keep: bool = True) -> None:
        if request.sequence >= 0:
            self._take_back(request)
            if keep:
                self._keeping.keep(request.sequence, request.held, request.lineage)
            else:
                self._keeping.release(request.sequence)
            request.sequence, request.done, request.lineage = -1, 0, ()


def _batches(work: Sequence[tuple[Request, int]]) -> list[Sequence[tuple[Request, int]]]:
    """What is computed together: all words, and each part of a picture alone, which comes first."""
    seeing = [part for part in work if sight.span_at(part[0].spans, part[0].done) is not None]
    words = [part for part in work if part not in seeing]
    return [*([part] for part in seeing), *([words] if words else [])]
