"""The parent's side of a worker: one child process behind start, call, stream, cancel and stop.

States:  stopped -> starting -> ready -> (died) -> waiting -> starting ...      failed: the start itself was refused

- `start()` waits for the child's hello; an error that the child reports instead (a bad model file) is raised and not retried.
- `call` and `stream` start a stopped worker, wait for one that is starting, and raise `WorkerDied` at once when the
  process ends while they wait. Leaving a stream early (or cancelling its task) tells the child to give the request up.
- A worker that died is started again by the next request, after a back-off that doubles from 0.1 s to 10 s with each
  death and is forgotten after a minute of good work. `stop()` ends the process: its memory is really returned.
- Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from app.core.errors import Deadline, NotReady, OndolError, WorkerDied, from_wire, to_wire
from app.core.workers import frames
from app.core.workers.frames import Call, Reply

log = logging.getLogger(__name__)
NATIVE_LOG_LIMIT = 1_000_000


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
        self._process: asyncio.subprocess.Process | None = None
        self._pending: dict[int, asyncio.Queue[Reply]] = {}
        self._next_id = 1
        self._starting: asyncio.Task[Any] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._hello: asyncio.Future[Any] | None = None
        self._deaths = 0
        self._not_before = 0.0
        self._ready_at = 0.0
        self._last_used = clock()
        self.state = State.STOPPED
        self.meta: Any = None
        self.reason = ""

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
        if self.state is State.READY:
            return self.meta
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start(), name=f"start {self.name}")
        return await asyncio.shield(self._starting)

    async def _start(self) -> Any:
        wait = self._not_before - self._clock()
        if wait > 0:
            self.state = State.WAITING
            await asyncio.sleep(wait)
        self.state, self.reason = State.STARTING, ""
        self._hello = asyncio.get_running_loop().create_future()
        with self._native_log() as native:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "utf8", "-m", self.module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=native,
                env={**os.environ, **self._environment},
                **_own_group(),
            )
        self._reading = asyncio.create_task(self._read(self._process), name=f"read {self.name}")
        self._write(Call(0, "start", self.settings))
        try:
            self.meta = await asyncio.wait_for(self._hello, self._start_timeout)
        except TimeoutError:
            await self._kill()
            self.state, self.reason = State.FAILED, "it did not start in time"
            raise NotReady(f"{self.name} did not start within {self._start_timeout:.0f} s.", hint=f"See {self._logs}.") from None
        except OndolError as error:
            await self._kill()
            self.state, self.reason = (State.STOPPED if isinstance(error, WorkerDied) else State.FAILED), str(error)
            raise
        self.state, self._ready_at = State.READY, self._clock()
        self._last_used = self._clock()
        return self.meta

    def _native_log(self) -> IO[bytes]:
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._logs / f"{self.name}.native.log"
        small = not path.exists() or path.stat().st_size < NATIVE_LOG_LIMIT
        return path.open("ab" if small else "wb")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "started with a pipe"
        try:
            while True:
                header = await process.stdout.readexactly(frames.LENGTH.size)
                self._handle(frames.reply(await process.stdout.readexactly(frames.length(header))))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            if isinstance(error, ValueError):
                log.error("%s: %s", self.name, error)
                process.kill()
        status = await process.wait()
        self._died(process, status)

    def _handle(self, reply: Reply) -> None:
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
            self._on_event(reply.body)

    def _died(self, process: asyncio.subprocess.Process, status: int) -> None:
        if process is not self._process:
            return
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(WorkerDied(f"{self.name} ended {how} while it started.", hint=f"See {self._logs}."))
        was_ready, self._process = self.state is State.READY, None
        if self.state is State.STOPPED:
            how = "because it was stopped"
        elif was_ready:
            self.state = State.STOPPED
            self.reason = self.reason or f"ended {how}"
            log.error("%s (pid %s) ended %s; %d requests were under way", self.name, process.pid, how, len(self._pending))
        if self.state is not State.STOPPED or was_ready:
            self._back_off()
        error = WorkerDied(f"{self.name} ended {how} while it served this request.", hint="It is being restarted: try again.")
        for id, waiting in list(self._pending.items()):
            waiting.put_nowait(Reply(id, "error", to_wire(error)))

    def _back_off(self) -> None:
        good = self._ready_at and self._clock() - self._ready_at > 60
        self._deaths = 1 if good else self._deaths + 1
        self._not_before = self._clock() + min(10.0, 0.1 * 2 ** (self._deaths - 1))

    def _write(self, call: Call) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            raise WorkerDied()
        process.stdin.write(frames.pack(call))

    async def call(self, op: str, body: Any = None, *, request_id: str = "", timeout: float | None = None) -> Any:
        """One request, one answer. Errors of the worker are raised as they are; `Deadline` after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                async with contextlib.aclosing(self._replies(op, body, request_id)) as replies:
                    async for reply in replies:
                        if reply.kind == "done":
                            return reply.body
        except TimeoutError:
            raise Deadline(f"{self.name} did not answer within {timeout} s.") from None
        raise WorkerDied()

    async def stream(self, op: str, body: Any = None, *, request_id: str = "") -> AsyncIterator[Any]:
        """One request, many parts. Closing the iterator early cancels the request in the worker."""
        async with contextlib.aclosing(self._replies(op, body, request_id)) as replies:
            async for reply in replies:
                if reply.kind == "item" or reply.body is not None:
                    yield reply.body

    async def _replies(self, op: str, body: Any, request_id: str) -> AsyncIterator[Reply]:
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
        """End the process: its input closes, then after `grace` seconds it is killed. Requests under way fail."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, OndolError):
                await self._starting
        self.state = State.STOPPED
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), grace)
        except TimeoutError:
            await self._kill()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=grace)

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _own_group() -> dict[str, Any]:
    """A group of its own, so that Ctrl-C at the terminal reaches the server alone, which then ends its workers in order."""
    if sys.platform == "win32":
        import subprocess

        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
