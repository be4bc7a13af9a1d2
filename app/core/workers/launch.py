"""How a worker's process is made: its command, its environment, where its native noise goes, and what its end meant."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from app.core.egress import QUIET

NATIVE_LOG_LIMIT = 1_000_000  # bytes; above it the file starts anew with the next process
READ_AHEAD = 1 << 20  # bytes that the parent buffers of a child's answers


async def launch(name: str, module: str, *, logs: Path, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start `python -m module` with pipes for frames; OSError where the system refuses (memory, processes, open files)."""
    with _native_log(logs / f"{name}.native.log") as native:
        return await asyncio.create_subprocess_exec(
            *_command(module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=native,
            limit=READ_AHEAD,
            env=_surroundings(environment),
            **_own_group(),
        )


def launch_blocking(name: str, module: str, *, logs: Path) -> subprocess.Popen[bytes]:
    """The same for a parent without an event loop, which writes to the pipes and reads from them itself."""
    with _native_log(logs / f"{name}.native.log") as native:
        return subprocess.Popen(
            _command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=native, env=_surroundings({}), **_own_group()
        )


def _command(module: str) -> list[str]:
    return [sys.executable, "-P", "-X", "utf8", "-m", module]


def _surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **_import_path(), **QUIET, **environment}


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"by signal {signal.Signals(-status).name}"
        return f"by signal {-status}"
    return f"with status {status}" if status < 256 else f"with status {status:#x}"  # Windows names its crashes in hex


def _import_path() -> dict[str, str]:
    """The child imports from where we do. Not from the current folder (`-P`): there may be an `app` or `models` in it."""
    return {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}


@contextlib.contextmanager
def _native_log(path: Path) -> Iterator[IO[bytes] | None]:
    """What native code prints, in a file; where none can be written, it goes to our own standard error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        small = not path.exists() or path.stat().st_size < NATIVE_LOG_LIMIT
        file = path.open("ab" if small else "wb")
    except OSError:
        yield None
        return
    with file:
        yield file


def _own_group() -> dict[str, Any]:
    """A group of its own, so that Ctrl-C at the terminal reaches the server alone, which then ends its workers in order."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
