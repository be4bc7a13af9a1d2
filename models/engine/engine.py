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

import logging
import time
from collections.abc import Callable, Sequence

from app.core.errors import OndolError, foreign
from app.core.records import Generation, Piece, Priority, Usage
from models.engine import prefix, scheduler, scoring, sight
from models.engine.adapters import Scales
from models.engine.chances import chance
from models.engine.decoding import DONE, INTERRUPTED, NO_ROOM, Decoder, Model
from models.engine.entrance import Entrance
from models.engine.grammar.rule import Rule
from models.engine.guesses import Guesses
from models.engine.images import whole
from models.engine.interrupt import Abandoned
from models.engine.keeping import Keeping
from models.engine.pace import Pace
from models.engine.request import Output, Request, Stats
from models.engine.roster import Roster
from models.engine.scheduler import Limits
from models.engine.shelf import Shelf
from models.engine.sight import Blind, Eyes, Span
from models.engine.speculation import Speculation
from models.engine.speech import Said, Speech
from models.engine.trials import Trials

log = logging.getLogger(__name__)
MOST_INTERRUPTED = 3  # steps in a row; then one goes through, so that clients who come and go can't keep the others from getting on


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
        self._model, self._decoder, self._clock, self._adapters = model, decoder, clock, adapters
        self._parallel = decoder.sequences if parallel is None else parallel
        self._entrance = Entrance(model, context=context, batch=decoder.batch, max_queue=max_queue, adapters=adapters)
        self._keeping = Keeping(decoder, clock=clock, shelf=shelf, limit=keep, beside=beside)
        self._guesses = Guesses(decoder, speculation)
        self._roster = Roster(decoder, self._keeping, self._guesses, grouped=bool(adapters))
        self._work: list[tuple[Request, int]] = []
        self._eyes: Eyes = eyes or Blind()
        self._looking = False
        self.stalled = False  # everybody waits for pictures to be seen
        self._abandoned = Abandoned(decoder.interrupt)
        self._interrupted = 0
        self._trials = Trials()
        self._pace = Pace()
        self._prompt_tokens = self._completion_tokens = self._steps = 0

    @property
    def idle(self) -> bool:
        """Nothing to do."""
        return not self._roster.running and not self._roster.waiting

    @property
    def crowd(self) -> tuple[int, int]:
        """How many requests run, and how many wait."""
        return len(self._roster.running), len(self._roster.waiting)

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
        waiting = len(self._roster.waiting) + len(self._roster.running) - self._parallel
        self._roster.waiting[id] = self._entrance.request(
            *(id, tokens, request, priority, speech, rule), chat=chat, spans=spans, waiting=waiting
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
        roster = self._roster
        work = [(id, 1) for id in roster.running] if roster.plain else roster.plan(self._limits())
        parts = ((roster.running[id], count) for id, count in self._trials.narrow(work))
        cut = scoring.bounded((one, self._cut(one, count)) for one, count in parts)
        self._work = sorted(cut, key=lambda part: part[0].sequence)
        self.stalled = not self._work
        self._guesses.make(self._work, alone=len(roster.running) == 1, cells=roster.cells)
        return [*blind, *roster.places()]

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
        return 0 < self._pace.usual <= seconds and all(one.pending == 1 for one in self._roster.running.values())

    def stats(self) -> Stats:
        """Counters for metrics and tests."""
        used = sum(request.done for request in self._roster.running.values())
        running = self._roster.lineages()
        counts = (self._prompt_tokens, self._completion_tokens, used, self._roster.cells, self._roster.evictions, self._steps)
        kept = self._keeping.cells(running) - prefix.cells(running)
        return Stats(len(self._roster.running), len(self._roster.waiting), *counts, kept, self._roster.cached_tokens)

    def _limits(self) -> Limits:
        reading = [one for one in self._roster.running.values() if one.pending > 1]
        coming = list(self._roster.waiting.values())[: self._parallel - len(self._roster.running)]
        # Of a prompt all counts that wasn't there when it came, so that the end of a long one is not taken for a short one.
        tokens = sum(len(one.tokens) - max(0, one.cached) for one in [*reading, *coming])
        crowd = len(self._roster.running) - len(reading), len(reading) + len(coming)
        batch, chunk = self._pace.prompts(self._decoder.batch, *crowd, tokens)
        return Limits(slots=self._parallel, cells=self._roster.cells, batch=max(batch, self._parallel), chunk=chunk, turn=self._steps)

    def _look(self) -> list[Output]:
        """See to the pictures of those who run, the first in the order first; who can't be helped ends with the reason."""
        outputs, missing = [], []
        for request in sorted((one for one in self._roster.running.values() if one.spans), key=lambda one: (one.rank, one.order)):
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

    def _choose_all(self, request: Request, end: int) -> list[Output]:
        """The next token, and those after it as long as the one before was guessed; `end`: the logits of the last guess."""
        if not request.limit:
            return [self._finish(request, Said(), "length")]
        outputs, draft = [], request.draft
        for offset in range(len(draft) + 1):
            outputs += self._choose(request, end - len(draft) + offset)
            if request.id not in self._roster.running or offset == len(draft) or request.tokens[-1] != draft[offset]:
                break
            request.done += 1
        self._guesses.take_back(request)
        return outputs

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
        self._keeping.make_room(self._roster.lineages(), sum(len(tokens) for _, _, tokens in parts), self._roster.cells)
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
            prompts = sum(count for request, count in work if request.pending > 1)
            self._prompt_tokens += prompts
            self._pace.passed(self._clock() - began, prompts, sum(request.pending == 1 for request, _ in work))
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
            self._roster.cells = min(self._roster.cells, len(work[0][0].tokens) + scheduler.SLACK)
            return []
        if status == NO_ROOM and len(self._roster.running) > 1:
            self._roster.count_less()
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

    def _cut(self, request: Request, count: int) -> int:
        """How many of `count` tokens go into this step: a prompt halts where a copy of it is to be kept."""
        ahead = [stop - request.done for stop in request.stops if stop > request.done]
        return sight.cut(request.spans, request.done, min([count, *ahead]))

    def _end(self, id: int, *, keep: bool = True) -> None:
        self._roster.end(id, keep=keep)
        self._abandoned.discard(id)


def _batches(work: Sequence[tuple[Request, int]]) -> list[Sequence[tuple[Request, int]]]:
    """What is computed together: all words, and each part of a picture alone, which comes first."""
    seeing = [part for part in work if sight.span_at(part[0].spans, part[0].done) is not None]
    words = [part for part in work if part not in seeing]
    return [*([part] for part in seeing), *([words] if words else [])]
