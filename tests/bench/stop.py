#!/usr/bin/env python3
"""How long the engine works for a client who has left: from the close of its connection to the moment that its place is free.

    python tests/bench/stop.py MODELS_FOLDER [--times 50] [--threads 0]

The real server over the demo model. A client leaves in three moments: before the first token of a long prompt that nothing of
is cached (streamed, and not), and in mid-answer. The server is asked for its counts over a connection of its own, again and
again; what is told is when it first said that nobody is worked on. One JSON line per moment, in milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1] / "acceptance")]

from product import Product, Served  # noqa: E402  # both folders are on the path only now

WORDS = ["river", "stone", "lamp", "seven", "cloud", "paper", "garden", "wheel", "salt", "north", "piano", "glass", "ember", "train"]
PROMPT_WORDS = 1_500


class Watch:
    """The server's counts, over a connection that is open already when it matters."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)

    def open(self) -> None:
        """A new connection: the server closes one that nothing comes over."""
        self._connection.close()
        self._connection.connect()

    def under_way(self) -> int:
        """Requests that the engine works on, and those that wait."""
        self._connection.request("GET", "/metrics")
        lines = self._connection.getresponse().read().decode().splitlines()
        return sum(int(float(line.split()[1])) for line in lines if line.startswith(("ondol_engine_running ", "ondol_engine_waiting ")))

    def until(self, free: bool) -> None:
        """Returns when it is so."""
        while (self.under_way() == 0) != free:
            time.sleep(0.001)


def ask(served: Served, *, words: int, stream: bool) -> socket.socket:
    """A chat's request on a connection of its own, sent."""
    place = urlsplit(served.url)
    text = " ".join(random.choices(WORDS, k=words))  # no prompt is like another
    body = {"model": "default", "stream": stream, "ignore_eos": True, "messages": [{"role": "user", "content": f"Tell me of {text}"}]}
    data = json.dumps(body).encode()
    head = [f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {served.key}\r\n"]
    head.append(f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n")
    connection = socket.create_connection((place.hostname or "", place.port or 0))
    connection.sendall("".join(head).encode() + data)
    return connection


def until_text(connection: socket.socket) -> None:
    """Reads until some of the answer has come."""
    seen = b""
    while seen.count(b'"content"') < 4:
        part = connection.recv(65536)
        if not part:
            raise SystemExit(f"the answer ended early: {seen[-300:]!r}")
        seen += part


def leave(served: Served, watch: Watch, *, in_answer: bool, stream: bool) -> float:
    """One client that leaves; milliseconds until its place is free."""
    connection = ask(served, words=5 if in_answer else PROMPT_WORDS, stream=stream)
    if in_answer:
        until_text(connection)
    watch.open()
    watch.until(free=False)
    time.sleep(random.uniform(0, 0.3 if in_answer else 1.5))  # anywhere in a batch
    if watch.under_way() == 0:
        raise SystemExit("the answer was there before the client left: the machine is too fast for this prompt")
    began = time.perf_counter()
    connection.close()
    watch.until(free=True)
    return (time.perf_counter() - began) * 1e3


def told(moment: str, times: list[float]) -> str:
    """One JSON line."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    figures = {"p50_ms": statistics.median(ordered), "p99_ms": p99, "max_ms": ordered[-1]}
    return json.dumps({"moment": moment, "times": len(ordered), **{name: round(value, 1) for name, value in figures.items()}})


def main() -> None:
    """Serve, leave, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="a folder of models with a chat model in it")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0: one per core")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ondol-stop-") as home:
        product = Product(Path(home), args.models.resolve())
        (Path(home) / "config.yaml").write_text(f"models: {{threads: {args.threads}}}\n", encoding="utf-8")
        with product.serving() as served:
            served.answer("Hello", "default")
            watch = Watch(served.url)
            moments = {"prompt, streamed": (False, True), "prompt, whole": (False, False), "mid-answer": (True, True)}
            for moment, (in_answer, stream) in moments.items():
                times = [leave(served, watch, in_answer=in_answer, stream=stream) for _ in range(args.times)]
                print(told(moment, times), flush=True)


if __name__ == "__main__":
    main()
