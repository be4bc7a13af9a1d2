"""A client that leaves frees the engine, whenever it leaves, and the next one is answered."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from product import Product, Served

pytestmark = pytest.mark.acceptance
MODEL = "smollm2-135m-instruct"
WORDS = ["river", "stone", "lamp", "seven", "cloud", "paper", "garden", "wheel", "salt", "north", "piano", "glass", "ember", "train"]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path) -> Product:
    """A home whose engine works on one request at a time."""
    made = Product(tmp_path_factory.mktemp("stop") / "ondol", models_dir)
    (made.home / "config.yaml").write_text("models: {parallel: 1, threads: 1}\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def served(product: Product) -> Iterator[Served]:
    with product.serving() as running:
        yield running


def counts(served: Served) -> dict[str, float]:
    """Every plain number of the metrics."""
    with urllib.request.urlopen(f"{served.url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def until(served: Served, running: int, waiting: int) -> None:
    end = time.monotonic() + 120
    while (now := counts(served))["ondol_engine_running"] != running or now["ondol_engine_waiting"] != waiting:
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.02)


def written(served: Served) -> float:
    """Tokens of answers that came to their end."""
    return counts(served).get(f'ondol_tokens_total{{kind="completion",model="{MODEL}"}}', 0.0)


@contextlib.contextmanager
def asking(served: Served, words: int, *, stream: bool) -> Iterator[socket.socket]:
    """A chat that would go on until its context is full, over a connection that closes with the block."""
    place = urlsplit(served.url)
    text = " ".join(random.choices(WORDS, k=words))
    body: dict[str, Any] = {"model": MODEL, "stream": stream, "ignore_eos": True, "messages": [{"role": "user", "content": text}]}
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {served.key}\r\n"
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        yield connection


def test_who_leaves_while_the_model_loads_leaves_nothing_behind(product: Product) -> None:
    with product.serving() as served:
        with asking(served, 5, stream=True):
            end = time.monotonic() + 60
            while served.health()["engine"]["state"] == "idle":
                assert time.monotonic() < end
                time.sleep(0.01)
        assert served.answer("Hello", MODEL)
        until(served, 0, 0)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_who_leaves_before_the_first_token_frees_the_engine(served: Served, stream: bool) -> None:
    before = written(served)
    with asking(served, 1500, stream=stream):
        until(served, 1, 0)
    until(served, 0, 0)
    assert written(served) == before
    assert served.answer("Hello", MODEL)


def test_who_leaves_in_mid_answer_frees_the_engine(served: Served) -> None:
    before = written(served)
    with asking(served, 5, stream=True) as connection:
        seen = b""
        while seen.count(b'"content"') < 3:
            part = connection.recv(65536)
            assert part, "the answer ended before"
            seen += part
    until(served, 0, 0)
    assert written(served) == before
    assert served.answer("Hello", MODEL)


def test_who_leaves_the_queue_is_forgotten_and_the_one_before_goes_on(served: Served) -> None:
    before = written(served)
    with asking(served, 5, stream=True) as first:
        until(served, 1, 0)
        with asking(served, 5, stream=True):
            until(served, 1, 1)
        until(served, 1, 0)
        assert first.recv(65536)
    until(served, 0, 0)
    assert written(served) == before
    assert served.answer("Hello", MODEL)
