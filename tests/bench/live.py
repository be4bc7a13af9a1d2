"""How long `/health/live` of the real server takes while many vectors drain into the index.

    python tests/bench/live.py [--vectors 50000] [--seconds 600]

Fills a book, starts `ondol serve` over it, asks every 10 ms over one connection, and prints JSON: milliseconds at p50, p95, p99 and the
longest, while the index takes the vectors in, and for comparison afterwards, when nothing is left to do.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from drain import fill, spread

from app.core.paths import Home


def ask(line: http.client.HTTPConnection, path: str) -> tuple[Any, float]:
    began = time.perf_counter()
    line.request("GET", path)
    body = json.loads(line.getresponse().read())
    return body, 1e3 * (time.perf_counter() - began)


def measure(port: int, seconds: float) -> dict[str, Any]:
    line = http.client.HTTPConnection("127.0.0.1", port)
    while not (pending := ask(line, "/health/ready")[0]["parts"]["index"]["pending"]):
        time.sleep(0.05)
    begun, found, left = time.perf_counter(), list[float](), pending
    while time.perf_counter() - begun < seconds:
        for _ in range(100):
            found.append(ask(line, "/health/live")[1])
            time.sleep(0.01)
        index = ask(line, "/health/ready")[0]["parts"]["index"]
        left = index["pending"]
        if index["state"] == "ready" and not any(left.values()):
            break
    took = time.perf_counter() - begun
    quiet = []
    for _ in range(500):
        quiet.append(ask(line, "/health/live")[1])
        time.sleep(0.01)
    return {"while draining": spread(found), "afterwards": spread(quiet), "seconds": round(took, 1), "left": left}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder))
        fill(home, options.vectors)
        command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--json"]
        environment = {**os.environ, "ONDOL_HOME": folder}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                result = measure(int(json.loads(server.stdout.readline())["url"].rpartition(":")[2]), options.seconds)
            finally:
                server.terminate()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
