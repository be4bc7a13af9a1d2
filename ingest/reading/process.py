"""The parent's side of one reading process: pipes, the wait with a limit, the watch over its memory. No decisions.

Without an event loop, for a run has none: a thread takes the answers off the pipe, a second one watches the memory.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path
from typing import IO, Any

import msgspec
import psutil

from app.core import logs as logging_setup
from app.core.egress import Policy
from app.core.errors import OndolError
from app.core.workers import frames
from app.core.workers.frames import Call, Start
from app.core.workers.launch import how_it_ended, launch_blocking
from ingest.readers.contract import Limits
from ingest.reading.refusals import End, Ended
from ingest.reading.wire import Answer, Received

NAME, MODULE = "reading", "ingest.reading.worker"
WAITING_FRAMES = 4
WATCH_SECONDS = 0.02  # native code takes hundreds of megabytes within a tenth of a second
START_SECONDS = 120.0
STARVED = 0.6
"""A process that ended by itself while it held this share of its memory limit is taken to have run out of it."""
SWEEP = 0.5
"""Seconds between two looks whether somebody still wants the answers."""

_answers = msgspec.msgpack.Decoder(Answer)
_portions = msgspec.msgpack.Decoder(Received)


class ReadingProcess:
    """Started when made. `ask` doesn't wait; `next` waits for the next portion, of whichever question is the oldest."""

    def __init__(self, logs: Path, limits: Limits) -> None:
        try:
            self._process = launch_blocking(NAME, MODULE, logs=logs)
        except OSError as error:
            raise OndolError(f"The process that reads files can't be started: {error.strerror or error}.") from None
        assert self._process.stdin is not None, "started with pipes"
        assert self._process.stdout is not None, "started with pipes"
        self._in, self._out = self._process.stdin, self._process.stdout
        self._limits = limits
        self._frames: queue.Queue[Answer | None] = queue.Queue(WAITING_FRAMES)
        self._why: End = "crashed"
        self._gone = threading.Event()
        self._greeted = False
        self._questions: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._peak = 0
        settings = {"limits": msgspec.to_builtins(limits)}
        # Offline: what a document asks for over the network, its parser doesn't get.
        self._questions.put(Call(0, "start", Start(settings, NAME, str(logs), logging_setup.options(), Policy("offline"))))
        for work in (self._send, self._receive, self._watch):
            threading.Thread(target=work, name=f"reading {work.__name__}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def ask(self, id: int, body: Any) -> None:
        """One more question; a process that has ended is noticed by `next`."""
        self._questions.put(Call(id, "read", body))

    def next(self, seconds: float) -> tuple[Received, float]:
        """The next portion, and the seconds waited for it. Ended: the process has gone, or took longer than `seconds`."""
        if not self._greeted:
            self._greet()
        began = time.monotonic()
        answer = self._take(seconds)
        if answer.kind == "error":
            self.end()
            raise Ended("crashed", f"with an error ({_told(answer)})")
        return _portions.decode(answer.body), time.monotonic() - began

    def _greet(self) -> None:
        try:
            first = self._take(START_SECONDS)
        except Ended as end:
            raise OndolError(f"The process that reads files did not start ({end}).", hint=f"See {NAME}.native.log.") from None
        if first.kind != "hello":
            self.end()
            raise OndolError(f"The process that reads files did not start: {_told(first)}.", hint="Install Ondol again.")
        self._greeted = True

    def _take(self, seconds: float) -> Answer:
        try:
            answer = self._frames.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            self._why = "slow"
            self.end()
            raise Ended("slow") from None
        if answer is None:
            self.end()
            # Native code that gets no more memory mostly aborts: what it had taken tells.
            starved = self._why == "crashed" and self._peak > STARVED * self._limits.memory_bytes
            raise Ended("memory" if starved else self._why, how_it_ended(self._process.returncode))
        return answer

    def end(self) -> None:
        """Kill the process with all that it has started, and wait for its end. Once: afterwards its id may be another's."""
        if self._gone.is_set():
            return
        self._gone.set()
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self._process.kill()
        self._process.wait()
        self._questions.put(None)

    def _send(self) -> None:
        """A thread of its own: a reader that lets no other thread run leaves the pipe full, and that must not hold the run up."""
        with contextlib.suppress(OSError), self._in:
            while (call := self._questions.get()) is not None:
                self._in.write(frames.pack(call))
                self._in.flush()

    def _receive(self) -> None:
        try:
            with self._out:
                while (payload := _frame(self._out)) is not None and self._put(_answers.decode(payload)):
                    pass
        except (frames.OutOfStep, msgspec.MsgspecError, OSError, ValueError):
            pass  # something else has written to the pipe: as good as dead
        self._put(None)

    def _put(self, answer: Answer | None) -> bool:
        """Hand it over as soon as there is room; False where nobody wants it any more."""
        while not self._gone.is_set():
            try:
                self._frames.put(answer, timeout=SWEEP)
            except queue.Full:
                continue
            return True
        return False

    def _watch(self) -> None:
        """End the process as soon as it holds more than it may. Where the system limits it too, that mostly comes first."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            while not self._gone.wait(WATCH_SECONDS):
                self._peak = max(self._peak, process.memory_info().rss)
                if self._peak > self._limits.memory_bytes:
                    self._why = "memory"
                    self._process.kill()
                    return


def _frame(stream: IO[bytes]) -> bytes | None:
    header = stream.read(frames.LENGTH.size)
    if len(header) < frames.LENGTH.size:
        return None
    size = frames.length(header)
    payload = stream.read(size)
    return payload if len(payload) == size else None


def _told(answer: Answer) -> str:
    body = msgspec.msgpack.decode(answer.body) if answer.body else None
    return str(body.get("message")) if isinstance(body, dict) else "no reason was given"
