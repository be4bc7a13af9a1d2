"""How soon a server answers and how much memory it keeps when idle, over a small store and over none.

    python tests/bench/start.py --models FOLDER [--runs 5]

Prints JSON: seconds from the command's start to the first `/health/live` (median), and the idle server process's resident and unique
memory in MB after its workers are up (the workers' own memory beside it).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "app.cli"]


def live(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def run(home: Path, port: int, settle: float) -> tuple[float, dict[str, float]]:
    environment = {**os.environ, "ONDOL_HOME": str(home)}
    began = time.perf_counter()
    server = subprocess.Popen([*COMMAND, "serve", "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not live(port):
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        time.sleep(settle)
        process = psutil.Process(server.pid)
        memory = process.memory_full_info()
        used = {"server_rss": memory.rss / 1e6, "server_uss": memory.uss / 1e6}
        for child in process.children():
            used[child.cmdline()[-1]] = child.memory_info().rss / 1e6
        return seconds, {name: round(value, 1) for name, value in used.items()}
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--port", type=int, default=11599)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("empty", "small store"):
            home = Path(folder) / name
            home.mkdir()
            (home / "models").symlink_to(args.models.absolute(), target_is_directory=True)
            if name != "empty":
                words = ["ingest", "files", str(ROOT / "installer" / "demo" / "handbook"), "--into", "handbook"]
                subprocess.run([*COMMAND, *words], cwd=ROOT, env={**os.environ, "ONDOL_HOME": str(home)}, check=True, capture_output=True)
            runs = [run(home, args.port, 15 if place == args.runs - 1 else 0.5) for place in range(args.runs)]
            print(
                json.dumps(
                    {"home": name, "first_live_s": round(statistics.median(seconds for seconds, _ in runs[1:] or runs), 3), **runs[-1][1]}
                )
            )


if __name__ == "__main__":
    main()
