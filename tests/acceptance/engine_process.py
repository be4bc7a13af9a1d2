"""The engine's own process under a running server: to be found, held in its load, and killed."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from product import Served


def engines(served: Served) -> list[psutil.Process]:
    """The processes that hold a GGUF model."""
    found = []
    for child in psutil.Process(served.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("models.engine.worker" in word for word in child.cmdline()):
                found.append(child)
    return found


def running(served: Served) -> int:
    """How many requests the engines work on, as the metrics tell."""
    return _metric(served, "ondol_engine_running")


def waiting(served: Served) -> int:
    """How many wait for that."""
    return _metric(served, "ondol_engine_waiting")


def _metric(served: Served, name: str) -> int:
    with urllib.request.urlopen(f"{served.url}/metrics", timeout=10) as told:
        lines = told.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(f"{name} "))


def unload(served: Served, model: str) -> None:
    """The model leaves the memory, as the chat page's settings do it; an answer that still runs is waited for."""
    end = time.monotonic() + 60
    while running(served) and time.monotonic() < end:
        time.sleep(0.1)
    body = f'{{"model": "{model}"}}'.encode()
    headers = {"authorization": f"Bearer {served.key}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{served.url}/models/unload", body, headers), timeout=30) as told:
        told.read()
    _, alive = psutil.wait_procs(engines(served), timeout=10)
    assert alive == []


@contextmanager
def slow_load(served: Served, seconds: float) -> Iterator[None]:
    """While the block runs, the next engine to start stands still for so long: a large model on a slow disk."""
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            for engine in engines(served):
                engine.suspend()
                over.wait(seconds)
                engine.resume()
                return
            time.sleep(0.01)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        over.set()
        holding.join()
