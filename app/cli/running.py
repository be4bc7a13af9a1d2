"""The server that a command speaks to: the running one, or a temporary one that ends with the command."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

from app.cli.client import ServerClient
from app.cli.output import Output
from app.core.credentials import api_key
from app.core.errors import NotReady, OndolError
from app.core.paths import Home
from app.core.server_record import running

START_SECONDS = 60.0


@contextlib.contextmanager
def server(home: Home, out: Output) -> Iterator[ServerClient]:
    """A client of a server over this home."""
    if (found := running(home)) is not None:
        yield ServerClient(found.address, api_key(home))
        return
    out.note("No server is running: starting one for this question (keep one with `ondol serve`).")
    line = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--until-stdin-closes"]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield _wait(home, process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(home: Home, process: subprocess.Popen[str]) -> ServerClient:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else "").strip().splitlines()
            raise OndolError(f"The server did not start: {said[-1] if said else process.returncode}")
        found = running(home)
        if found is not None and found.pid == process.pid:
            client = ServerClient(found.address, api_key(home))
            with contextlib.suppress(OndolError, json.JSONDecodeError):
                client.get("/health/ready")
                return client
        time.sleep(0.05)
    raise NotReady(f"The server did not start within {START_SECONDS:.0f} s.", hint=f"See {home.logs}.")
