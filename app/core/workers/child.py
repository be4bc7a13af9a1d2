"""The child's side of a worker: a channel of requests in and replies out, over the pipes that the parent made.

A worker's main function reads like this:

    with Channel.open() as channel:
        settings = channel.settings          # what the parent passed, before anything heavy is imported
        ...load...
        channel.hello({"dimensions": 384})   # from now on the parent sends requests
        while (call := channel.get()) is not None:
            channel.done(call.id, handle(call))

Standard output belongs to the frames: whatever native code prints there is sent to standard error.
When the parent dies its end of the pipe closes, and this process ends at once, also from inside native code.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from types import TracebackType
from typing import IO, Any, Self

from app.core.errors import OndolError, to_wire
from app.core.workers import frames
from app.core.workers.frames import Call, Reply

log = logging.getLogger(__name__)


class Channel:
    """Requests in, replies out. `get` is for one thread; the sending methods are for any thread."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._in, self._out = incoming, outgoing
        self._calls: queue.Queue[Call] = queue.Queue()
        self._cancelled: set[int] = set()
        self._open: set[int] = set()
        self._lock = threading.Lock()
        first = self._read()
        if first is None or first.op != "start":
            raise SystemExit("This program is a worker of Ondol: it is started by the server.")
        self.settings: dict[str, Any] = first.body or {}
        threading.Thread(target=self._receive, name="channel", daemon=True).start()

    @classmethod
    def open(cls) -> Channel:
        """Take over standard input and output as the parent's pipes."""
        incoming = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
        outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdout = sys.stderr
        return cls(incoming, outgoing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """An error that leaves the block is told to the parent, which shows it as the reason of the worker's end."""
        if error is not None and not isinstance(error, SystemExit):
            log.error("the worker ends: %s", error, exc_info=not isinstance(error, OndolError))
            self._send(Reply(0, "error", to_wire(error)))

    def _read(self) -> Call | None:
        header = self._in.read(frames.LENGTH.size)
        if len(header) < frames.LENGTH.size:
            return None
        payload = self._in.read(frames.length(header))
        return frames.call(payload)

    def _receive(self) -> None:
        try:
            while (call := self._read()) is not None:
                if call.op == "cancel":
                    with self._lock:
                        if call.body in self._open:
                            self._cancelled.add(call.body)
                    # Wakes a loop that sleeps in get(): it decides what a cancelled request costs.
                    self._calls.put(call)
                    continue
                with self._lock:
                    self._open.add(call.id)
                self._calls.put(call)
        finally:
            # The parent has gone or the stream is broken; native code may hold every other thread.
            os._exit(0)

    def get(self, timeout: float | None = None) -> Call | None:
        """The next request, or a call with op "cancel" whose body is the id given up; None when `timeout` seconds pass."""
        try:
            return self._calls.get(timeout=timeout) if timeout != 0 else self._calls.get_nowait()
        except queue.Empty:
            return None

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
        self._close(id)
        self._send(Reply(id, "done", body))

    def error(self, id: int, error: BaseException) -> None:
        """The end of an answer that failed; a foreign error is translated to one of ours."""
        self._close(id)
        self._send(Reply(id, "error", to_wire(error)))

    def _close(self, id: int) -> None:
        with self._lock:
            self._open.discard(id)
            self._cancelled.discard(id)

    def _send(self, reply: Reply) -> None:
        data = memoryview(frames.pack(reply))
        with self._lock:
            while data:
                written = self._out.write(data)
                data = data[written or 0 :]
