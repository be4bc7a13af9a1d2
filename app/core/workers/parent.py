"""The parent's side of a worker: one child process behind start, call, stream, cancel and stop.

States:  stopped -> starting -> ready -> (died) -> waiting -> starting ...      failed: the start itself was refused

- `start()` waits for the child's hello; an error that the child reports instead (a bad model file) is raised, and raised
  again without another try until the back-off has passed.
- `call` and `stream` start a stopped worker, wait for one that is starting, and raise `WorkerDied` at once when the
  process ends while they wait. Leaving a stream early (or cancelling its task) tells the child to give the request up.
- A worker that died is started again by the next request, after a back-off that doubles from 0.1 s to 10 s with each
  death and is forgotten after a minute of good work. One that dies again as it starts is a refusal too.
  `stop()` ends the process: its memory is really returned.
- There is never more than one process: a start waits until the one before has ended.
- Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.core import egress, logs
from app.core.errors import Deadline, NotReady, OndolError, WorkerDied, from_wire, to_wire
from app.core.workers import frames
from app.core.workers.frames import Call, OutOfStep, Reply, Start
from app.core.workers.launch import how_it_ended, launch

log = logging.getLogger(__name__)
Process = asyncio.subprocess.Process
GOOD_WORK = 60.0  # seconds of it after which earlier deaths no longer count
LAST_BREATH = 1.0  # seconds that a process may take to end after it has closed its pipe


class State(StrEnum):
    """Where a worker's life stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


class Worker:
    """One worker process, by the module that it runs (`python -m module`)."""

    def __init__(
        self,
        name: str,
        module: str,
        settings: Mapping[str, Any],
        *,
        logs: Path,
        start_timeout: float = 600.0,
        on_event: Callable[[Any], None] | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.module, self.settings = name, module, dict(settings)
        self._logs, self._start_timeout, self._on_event, self._clock = logs, start_timeout, on_event, clock
        self._environment = dict(environment or {})
        self._process: Process | None = None
        self._pending: dict[int, asyncio.Queue[Reply]] = {}
        self._next_id = 1
        self._starting: asyncio.Task[Any] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._hello: asyncio.Future[Any] | None = None
        self._refusal: OndolError | None = None
        self._deaths = 0
        self._not_before = 0.0
        self._ready_at: float | None = None
        self._last_used = clock()
        self.state = State.STOPPED
        self.meta: Any = None
        self.reason = ""
        self.heard = 0  # frames of its processes so far: who listens for a sign of life compares two looks

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self._pending)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request began or ended; 0 while one is under way."""
        return 0.0 if self._pending else self._clock() - self._last_used

    async def start(self) -> Any:
        """Wait until the worker is ready; returns what its hello carried. Many callers share one start."""
        if self.state is State.READY and self._listens():
            return self.meta
        if self._refusal is not None and self._clock() < self._not_before:
            raise from_wire(to_wire(self._refusal))
        starting = self._starting
        if starting is None or starting.done():
            starting = self._starting = asyncio.create_task(self._start(), name=f"start {self.name}")
            # Its callers may all have gone when it fails: the reason is kept, and nobody has missed an exception.
            starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait([starting])
        if starting.cancelled():
            raise WorkerDied(f"{self.name} was stopped while it started.", hint="Try again.")
        return starting.result()

    async def _start(self) -> Any:
        if self.state is State.READY and self._reading is not None:
            # It no longer takes requests, but its end has not been noticed yet: nothing was lost, so nobody need hear of it.
            await asyncio.wait([self._reading], timeout=LAST_BREATH)
            await self._kill()
        if self._reading is not None:
            await asyncio.wait([self._reading])
        wait = self._not_before - self._clock()
        if wait > 0:
            self.state = State.WAITING
            await asyncio.sleep(wait)
        self.state, self.reason, self._refusal = State.STARTING, "", None
        first = frames.pack(Call(0, "start", Start(self.settings, self.name, str(self._logs), logs.options(), egress.current())))
        self._hello = asyncio.get_running_loop().create_future()
        try:
            self._process = await launch(self.name, self.module, logs=self._logs, environment=self._environment)
        except OSError as error:
            self._back_off()
            self.state, self.reason = State.STOPPED, str(error)
            raise NotReady(f"{self.name} can't be started: {error.strerror or error}.", hint="Try again.") from None
        self._reading = asyncio.create_task(self._read(self._process), name=f"read {self.name}")
        try:
            assert self._process.stdin is not None, "started with a pipe"
            self._process.stdin.write(first)
            self.meta = await asyncio.wait_for(self._hello, self._start_timeout)
            if self._process is None:
                raise WorkerDied(f"{self.name} ended as soon as it had started.", hint=f"See {self._logs}.")
        except TimeoutError:
            self._refusal = NotReady(f"{self.name} did not start within {self._start_timeout:.0f} s.", hint=f"See {self._logs}.")
        except WorkerDied as error:
            self.state, self.reason = State.STOPPED, str(error)
            # It will die again: whoever asks before the back-off has passed is told so at once.
            self._refusal = error if self._deaths > 1 else None
            raise
        except OndolError as error:
            self._refusal = error
        if self._refusal is not None:
            await self._kill()
            self.state, self.reason = State.FAILED, str(self._refusal)
            raise from_wire(to_wire(self._refusal))
        self.state, self._ready_at = State.READY, self._clock()
        self._last_used = self._clock()
        return self.meta

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None, "started with a pipe"
        try:
            while True:
                header = await process.stdout.readexactly(frames.LENGTH.size)
                self._handle(frames.reply(await process.stdout.readexactly(frames.length(header))))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except OutOfStep as error:
            self.reason = str(error)
            process.kill()
        try:
            status = await asyncio.wait_for(process.wait(), LAST_BREATH)
        except TimeoutError:  # it hangs in its own end, and can't answer any more
            process.kill()
            status = await process.wait()
        self._died(process, status)

    def _handle(self, reply: Reply) -> None:
        self.heard += 1
        if reply.id:
            if (waiting := self._pending.get(reply.id)) is not None:
                waiting.put_nowait(reply)
        elif reply.kind == "hello" and self._hello is not None and not self._hello.done():
            self._hello.set_result(reply.body)
        elif reply.kind == "error":
            self.reason = str(from_wire(reply.body))
            if self._hello is not None and not self._hello.done():
                self._hello.set_exception(from_wire(reply.body))
        elif reply.kind == "event" and self._on_event is not None:
            try:
                self._on_event(reply.body)
            except Exception:  # a listener's mistake must not end the answers of everybody else
                log.exception("%s: an event's listener failed", self.name)

    def _died(self, process: Process, status: int) -> None:
        self._process = None
        stopped, how = self.state is State.STOPPED, how_it_ended(status)
        if stopped:
            how = "because it was stopped"
        elif self.state is State.READY:
            self.state = State.STOPPED
            log.error("%s (pid %s) ended %s; %d requests were under way", self.name, process.pid, how, len(self._pending))
        why = f": {self.reason}" if self.reason else ""
        self.reason = self.reason or f"ended {how}"
        if not stopped:
            self._back_off()
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(WorkerDied(f"{self.name} ended {how} while it started{why}.", hint=f"See {self._logs}."))
        self._fail_pending(WorkerDied(f"{self.name} ended {how} while it served this request{why}.", hint="Try again."))

    def _fail_pending(self, error: OndolError) -> None:
        for id, waiting in self._pending.items():
            waiting.put_nowait(Reply(id, "error", to_wire(error)))

    def _back_off(self) -> None:
        good = self._ready_at is not None and self._clock() - self._ready_at > GOOD_WORK
        self._ready_at = None
        self._deaths = 1 if good else self._deaths + 1
        self._not_before = self._clock() + min(10.0, 0.1 * 2 ** min(self._deaths - 1, 10))

    def _listens(self) -> bool:
        process = self._process
        return process is not None and process.stdin is not None and not process.stdin.is_closing()

    def _write(self, call: Call) -> None:
        if not self._listens():
            raise WorkerDied(f"{self.name} has ended.", hint="Try again.")
        assert self._process is not None, "it listens"
        assert self._process.stdin is not None, "started with a pipe"
        self._process.stdin.write(frames.pack(call))

    async def call(self, op: str, body: Any = None, *, request_id: str = "", timeout: float | None = None) -> Any:
        """One request, one answer. Errors of the worker are raised as they are; `Deadline` after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout), contextlib.aclosing(self._replies(op, body, request_id)) as replies:
                async for reply in replies:
                    if reply.kind == "done":
                        return reply.body
        except TimeoutError:
            raise Deadline(f"{self.name} did not answer within {timeout} s.") from None
        raise WorkerDied()

    async def stream(self, op: str, body: Any = None, *, request_id: str = "") -> AsyncGenerator[Any]:
        """One request, many parts. Closing the iterator early cancels the request in the worker."""
        async with contextlib.aclosing(self._replies(op, body, request_id)) as replies:
            async for reply in replies:
                if reply.kind == "item" or reply.body is not None:
                    yield reply.body

    async def _replies(self, op: str, body: Any, request_id: str) -> AsyncGenerator[Reply]:
        await self.start()
        id, self._next_id = self._next_id, self._next_id + 1
        waiting = self._pending[id] = asyncio.Queue()
        finished = False
        try:
            self._write(Call(id, op, body, request_id))
            process = self._process
            if process is not None and process.stdin is not None:
                with contextlib.suppress(ConnectionError):
                    await process.stdin.drain()
            while not finished:
                reply = await waiting.get()
                finished = reply.kind != "item"
                if reply.kind == "error":
                    raise from_wire(reply.body)
                yield reply
        finally:
            del self._pending[id]
            self._last_used = self._clock()
            if not finished:
                with contextlib.suppress(WorkerDied):
                    self._write(Call(0, "cancel", id))

    async def stop(self, grace: float = 2.0) -> None:
        """End the process: its input closes, then after `grace` seconds it is killed. Requests under way fail at once."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self.state = State.STOPPED
        self._fail_pending(WorkerDied(f"{self.name} was stopped while it served this request.", hint="Try again."))
        process = self._process
        if process is None or self._reading is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        await asyncio.wait([self._reading], timeout=grace)
        await self._kill()

    def give_up(self, reason: str) -> None:
        """Kill a process that hangs. Its requests get `WorkerDied` with this reason; the next one starts it again."""
        process = self._process
        if process is not None and process.returncode is None:
            self.reason = reason
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._reading is not None:
            await asyncio.wait([self._reading])
