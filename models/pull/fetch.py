"""From a source to files on this disk: the user's own are used where they are, all else is fetched by a child process.

A child, because only an asked-for download may leave this machine: the server keeps its libraries told to stay home,
while the child alone is told otherwise, lives as long as the download, and can be ended in the middle of one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from app.core import logs
from app.core.errors import NotReady, OndolError, from_wire
from app.core.workers import frames
from app.core.workers.frames import Call, Reply, Start
from models.pull import file
from models.pull.spec import Progress, Spec, Told
from models.pull.stage import Delivered
from models.pull.stop import Stop

# huggingface_hub reads these once, at import. Xet's own transfer can't resume a half file and is out of sight of the egress guard.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "0",
    "TRANSFORMERS_OFFLINE": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}


def deliver(spec: Spec, area: Path, told: Told, stop: Stop) -> Delivered:
    """The model's files, below `area` or at the user's own path. An interrupted call is taken up again by the next."""
    if spec.scheme == "file":
        return file.deliver(spec)
    with contextlib.closing(_Child(spec, area)) as child, stop.ending(child.end):
        try:
            return child.result(told)
        except NotReady:
            # A child that was ended looks like one that died.
            stop.check()
            raise


class _Child:
    def __init__(self, spec: Spec, area: Path) -> None:
        self._log = area / "pull.native.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "utf8", "-m", "models.pull.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place), **_ENVIRONMENT},
                **_own_group(),
            )
        # No egress policy: this process exists for the one download that was asked for, wherever its redirects lead.
        settings = {"spec": msgspec.to_builtins(spec), "area": str(area)}
        start = Start(settings, process="pull", logs=str(area), log_options=logs.options(), egress=None)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(frames.pack(Call(0, "start", start)))
            self._process.stdin.flush()

    def result(self, told: Told) -> Delivered:
        while (reply := self._read()) is not None:
            if reply.kind == "event":
                told(msgspec.convert(reply.body, Progress))
            elif reply.kind == "done":
                return msgspec.convert(reply.body, Delivered)
            elif reply.kind == "error":
                raise from_wire(reply.body)
        raise self._silent_end()

    def _read(self) -> Reply | None:
        assert self._process.stdout is not None
        header = _exactly(self._process.stdout, frames.LENGTH.size)
        return frames.reply(_exactly(self._process.stdout, frames.length(header))) if header else None

    def _silent_end(self) -> OndolError:
        status = self._process.wait()
        tail = self._log.read_text("utf-8", errors="replace").strip().splitlines()[-1:]
        return NotReady(
            f"The download was ended (status {status}). {''.join(tail)}".strip(), hint="Pull again: it goes on where it stopped."
        )

    def end(self) -> None:
        """From another thread: end the child and what it has started (pip), whatever they wait for."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child: it ends by itself when its input closes; one that can't is killed."""
        streams: list[IO[Any] | None] = [self._process.stdin, self._process.stdout]
        for stream in streams:
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _own_group() -> dict[str, Any]:
    """Ctrl-C at a terminal reaches the parent alone, which then ends the child."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    return data if len(data) == size else b""
