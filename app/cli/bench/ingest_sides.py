"""The sides of `ondol bench ingest`: programs that each keep one table in an index, driven by lines of JSON.

First line in: what to keep, and how (`dsn`, `table`, `key`, `model`, `tokens`, `overlap`, `watermark`, `remember`), answered by the
`versions` of what does it (none where it reads by `watermark`: the same program tells them once). Then calls, each
answered by one line: `open` (a new, empty folder), `sync` -> `seconds`, `cpu_seconds`, and `held` -> key and text of all that is in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.cli.bench.ingest_peers import NEEDS, PROGRAMS
from app.cli.bench.servers import has
from app.core.errors import NotReady


class Kept(NamedTuple):
    """What every side is asked to keep. `model`: a sentence-transformers folder; empty: vectors that mean nothing, for histories."""

    dsn: str
    table: str
    key: str
    model: str
    tokens: int
    overlap: int
    remember: str


class Side:
    """One running program. `versions` of the packages that it is made of."""

    def __init__(self, name: str, line: Sequence[str], asked: Mapping[str, Any]) -> None:
        self.name = name
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True, encoding="utf-8"
        )
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self.versions: dict[str, str] = self._ask(asked)["versions"]

    def open(self) -> None:
        """Begin with an empty index."""
        self._folders.append(tempfile.TemporaryDirectory(prefix="ondol-bench-", ignore_cleanup_errors=True))
        self._ask({"op": "open", "folder": self._folders[-1].name})

    def sync(self) -> dict[str, float]:
        """Bring the index to what the table says; the seconds that it took, on the wall and of the processor."""
        found: dict[str, float] = self._ask({"op": "sync"})
        return found

    def held(self) -> list[tuple[str, str]]:
        """(key, text) of every chunk that is in it."""
        return [(key, text) for key, text in self._ask({"op": "held"})["held"]]

    def _ask(self, call: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(call) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise NotReady(f"{self.name} ended in mid-work (status {self._process.wait()}).", hint="Try its Python by itself.")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """End it, and remove what it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        for folder in self._folders:
            folder.cleanup()


@contextlib.contextmanager
def sides(kept: Kept, pythons: Sequence[Path], *, watermarks: bool = False) -> Iterator[list[Side]]:
    """Ours, then each peer that one of the `pythons` has; with `watermarks` each peer once more, reading by `updated_at`."""
    asked = kept._asdict()
    with contextlib.ExitStack() as stack:

        def started(name: str, line: Sequence[str], *, watermark: bool = False) -> Side:
            side = Side(name, line, {**asked, "watermark": watermark})
            stack.callback(side.close)
            return side

        found = [started("ondol", [sys.executable, "-m", "app.cli.bench.ingest_own"])]
        for peer, program in PROGRAMS.items():
            python = next((python for python in pythons if has(python, *NEEDS[peer])), None)
            if python is not None:
                found.append(started(peer, [str(python), "-c", program]))
                if watermarks:
                    found.append(started(f"{peer}, by updated_at", [str(python), "-c", program], watermark=True))
        yield found
