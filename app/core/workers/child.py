"""The child's side of a worker: a channel of requests in and replies out, over the pipes that the parent made.

A worker's main function reads like this:

    with Channel.open() as channel:
        settings = channel.settings          # what the parent passed, before anything heavy is imported
        ...load...
        channel.hello({"dimensions": 384})   # from now on the parent sends requests
        while (call := channel.get()) is not None:
            channel.done(call.id, handle(call))

Standard output belongs to the frames: whatever native code prints there is sent to standard error.
When the parent dies or stops this worker its end of the pipe closes, and this process ends at once, also while Python or
native code works (as long as that code lets other threads run). A worker that must finish a step first opens its channel
with `linger` seconds: `get` then returns None (and cancels the open requests), and the process ends when its main function
returns, or when the seconds have passed.

The process logs to its own file under its worker's name, at the parent's level, and keeps the parent's egress policy. A
request's lines carry its id where its work is wrapped in `logs.bind(call.request_id)`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from app.core import egress, logs
from app.core.errors import OndolError, to_wire
from app.core.workers import frames
from app.core.workers.frames import Call, Reply, Start

log = logging.getLogger(__name__)


class Channel:
    """Requests in, replies out. `get` is for one thread; the sending methods are for any thread.

    `on_cancel` is called with the id of a request that was given up, at once and in the thread that reads the pipe, while
    `get`'s thread may be deep in native code: for a worker that can end such a computation early. `get` tells of it afterwards.
    `on_call` is called in the same way when a request comes: for a worker that does something else while there is none.
    """

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], *, linger: float = 0.0) -> None:
        self._in, self._out, self._linger = incoming, outgoing, linger
        self.on_cancel: Callable[[int], None] | None = None
        self.on_call: Callable[[], None] | None = None
        self._calls: queue.Queue[Call | None] = queue.Queue()
        self._open: dict[int, str] = {}
        self._cancelled: set[int] = set()
        self._ended = threading.Event()
        # Two locks: a writer that waits for a full pipe must not keep a cancel from being seen.
        self._state, self._writing = threading.Lock(), threading.Lock()
        self._gathered: bytearray | None = None  # frames that wait for the end of `together`
        first = self._read()
        if first is None or first.op != "start":
            raise SystemExit("This program is a worker of Ondol: it is started by the server.")
        start = msgspec.convert(first.body, Start)
        self.settings = start.settings
        logs.setup(Path(start.logs), start.process, start.log_options)
        if start.egress is not None:
            egress.install(start.egress)
        threading.Thread(target=self._receive, name="channel", daemon=True).start()

    @classmethod
    def open(cls, *, linger: float = 0.0) -> Channel:
        """Take over standard input and output as the parent's pipes; `linger`: seconds to finish in when the parent goes."""
        # Unbuffered: a buffered reader that a daemon thread waits in would abort the interpreter's end.
        incoming = os.fdopen(os.dup(0), "rb", buffering=0)
        outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdout = sys.stderr
        return cls(incoming, outgoing, linger=linger)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """An error that leaves the block is told to the parent, which shows it as the reason of the worker's end."""
        if error is not None and not isinstance(error, SystemExit):
            self._send(Reply(0, "error", to_wire(error)))

    def _exactly(self, size: int) -> bytearray | None:
        """`size` bytes; None where the stream ends before."""
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            read = self._in.readinto(view[got:])  # type: ignore[attr-defined]  # raw streams have it
            if not read:
                return None
            got += read
        return data

    def _read(self) -> Call | None:
        header = self._exactly(frames.LENGTH.size)
        payload = None if header is None else self._exactly(frames.length(header))
        return None if payload is None else frames.call(payload)

    def _receive(self) -> None:
        try:
            while (call := self._read()) is not None:
                with self._state:
                    if call.op != "cancel":
                        self._open[call.id] = call.request_id
                    elif call.body in self._open:
                        self._cancelled.add(call.body)
                    else:
                        continue  # it has been answered meanwhile
                if call.op == "cancel" and self.on_cancel is not None:
                    self.on_cancel(call.body)
                elif call.op != "cancel" and self.on_call is not None:
                    self.on_call()
                # A cancel too: it wakes a loop that sleeps in get(), which decides what a cancelled request costs.
                self._calls.put(call)
            if self._linger:
                with self._state:
                    given_up = [id for id in self._open if id not in self._cancelled]
                    self._cancelled.update(given_up)
                self._ended.set()
                for id in given_up:
                    self._calls.put(Call(0, "cancel", id))
                self._calls.put(None)
                time.sleep(self._linger)
        finally:
            # The parent has gone or the stream is broken; native code may hold every other thread.
            os._exit(0)

    def get(self, timeout: float | None = None) -> Call | None:
        """The next request, or a call with op "cancel" whose body is the id given up.

        None when `timeout` seconds have passed with nothing to do, and when the parent has gone (see `ending`).
        """
        try:
            if timeout == 0 or (timeout is None and self._ended.is_set()):
                return self._calls.get_nowait()
            return self._calls.get(timeout=timeout)
        except queue.Empty:
            return None

    @property
    def ending(self) -> bool:
        """Whether the parent has gone or wants this worker to end; seen only by a worker that lingers."""
        return self._ended.is_set()

    def cancelled(self, id: int) -> bool:
        """Whether the parent gave this request up."""
        return id in self._cancelled

    def hello(self, body: Any = None) -> None:
        """Loaded and ready: the parent sends requests from now on."""
        self._send(Reply(0, "hello", body))

    def event(self, body: Any) -> None:
        """News that belongs to no request (progress of a load, state)."""
        self._send(Reply(0, "event", body))

    def item(self, id: int, body: Any) -> None:
        """One more part of a streamed answer."""
        self._send(Reply(id, "item", body))

    def done(self, id: int, body: Any = None) -> None:
        """The end of an answer, with its last part."""
        self._send(Reply(id, "done", body))
        self._close(id)

    def error(self, id: int, error: BaseException) -> None:
        """The end of an answer that failed; a foreign error is translated to one of ours, and its trace goes to the log."""
        if not isinstance(error, OndolError):
            with logs.bind(self._open.get(id, "")):
                log.error("a request failed", exc_info=error)
        self._send(Reply(id, "error", to_wire(error)))
        self._close(id)

    def _close(self, id: int) -> None:
        with self._state:
            self._open.pop(id, None)
            self._cancelled.discard(id)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is sent within the block goes out at its end, at once: the parent wakes up once for all of it."""
        with self._writing:
            self._gathered = bytearray()
        try:
            yield
        finally:
            with self._writing:
                gathered, self._gathered = self._gathered, None
                self._write(gathered or b"")

    def _send(self, reply: Reply) -> None:
        data = frames.pack(reply)
        with self._writing:
            if self._gathered is None:
                self._write(data)
            else:
                self._gathered += data

    def _write(self, frame: bytes | bytearray) -> None:
        data = memoryview(frame)
        try:
            while data:
                written = self._out.write(data)
                data = data[written or 0 :]
        except OSError:
            log.debug("nobody reads this worker's answers any more")
