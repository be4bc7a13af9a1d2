#!/usr/bin/env python3
"""Tokens per second on a machine whose cores others use: with all threads at all times, and with those that `Crew` leaves.

    python tests/bench/crowd.py MODEL.gguf [--threads 2] [--others 2] [--rounds 5]

`--others` programs compute for themselves meanwhile; 0: none. Both take turns in one process over one model. One JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.engine.crew import Crew  # the folder is on the path only now
from models.engine.llama.decoder import Decoder
from models.engine.llama.model import Model

SECONDS, DEPTH = 3.0, 60


@contextlib.contextmanager
def others(count: int) -> Iterator[None]:
    """Programs that compute until the block ends."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10000))"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def speed(decoder: Decoder, token: int) -> float:
    """Steps of one row per second."""
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        decoder.decode([(0, DEPTH, [token])])
        decoder.truncate(0, DEPTH)
        steps += 1
    return steps / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--others", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = Model(given.model)
    crews = {"all": None, "crew": Crew(given.threads)}
    sides = {name: model.decoder(cells=512, sequences=1, batch=256, threads=given.threads, crew=crew) for name, crew in crews.items()}
    tokens = model.tokenize("word " * DEPTH, special=False)
    for decoder in sides.values():
        decoder.decode([(0, 0, tokens[:DEPTH])])
    found: dict[str, list[float]] = {name: [] for name in sides}
    with others(given.others):
        for _ in range(given.rounds):
            for name, decoder in sides.items():
                found[name].append(round(speed(decoder, tokens[0]), 1))
    ratios = [crew / every for every, crew in zip(found["all"], found["crew"], strict=True)]
    print(json.dumps({"others": given.others, "threads": given.threads, **found, "ratio": round(statistics.median(ratios), 2)}))


if __name__ == "__main__":
    main()
