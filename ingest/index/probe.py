"""`python -m ingest.index.probe DIRECTORY`: whether an index can be trusted, tried in a process that may crash instead.

Reads lines `pk vector-in-base64` of chunks that the index should hold from standard input, asks for each one's nearest, and
ends with status 0 where those that are there find themselves, but for a few. Any other end, a crash too, says that it is damaged.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ingest.index.contract import IndexDamaged

_SOUND, _DAMAGED = 0, 3
# Of the chunks that are asked for: a sound graph can miss one now and then, since its search is approximate; a damaged one misses most.
MAY_MISS = 0.05

if sys.platform == "win32":
    _NO_WINDOW = subprocess.CREATE_NO_WINDOW
else:
    _NO_WINDOW = 0


def sound(directory: Path, sample: Sequence[tuple[int, bytes]], timeout: float) -> bool:
    """Probe in a child process; False also where it crashed or took longer than `timeout` seconds."""
    lines = "".join(f"{pk} {base64.b64encode(vector).decode()}\n" for pk, vector in sample)
    command = [sys.executable, "-P", "-X", "utf8", "-m", "ingest.index.probe", str(directory)]
    try:
        ended = subprocess.run(
            command, input=lines.encode(), stdout=subprocess.DEVNULL, timeout=timeout, check=False, creationflags=_NO_WINDOW
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == _SOUND


def main() -> int:
    """Probe the directory named on the command line."""
    import numpy as np

    from app.core import egress
    from ingest.index.chroma import ChromaIndex

    egress.install(egress.Policy("offline"))
    directory = Path(sys.argv[1])
    sample = [(int(pk), base64.b64decode(vector)) for pk, vector in (line.split() for line in sys.stdin)]
    try:
        index = ChromaIndex(directory)
        held = set(index.pks())
        if len(held) != index.entries():
            return _DAMAGED
        missed, asked = 0, [(pk, vector) for pk, vector in sample if pk in held]
        for _, vector in asked:
            # Twins (the same text in two chunks) share the first places: the score tells, not the id.
            hits = index.query(np.frombuffer(vector, dtype="<f4"), 10)
            if any(found not in held for found, _ in hits):
                return _DAMAGED
            missed += not hits or abs(hits[0][1] - 1.0) > 0.01
        if missed > MAY_MISS * len(asked):
            sys.stderr.write(f"{directory}: {missed} of {len(asked)} chunks are not found\n")
            return _DAMAGED
    except IndexDamaged as error:
        sys.stderr.write(f"{directory}: {error}\n")
        return _DAMAGED
    return _SOUND


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Native threads of a damaged index may not end in order.
    os._exit(status)
