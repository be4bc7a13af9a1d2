"""The product as its users run it: the `ondol` command in a home of its own, and a real server process."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai

from ingest.index import book_view
from ingest.index.files import taken_in


class Product:
    """One data folder with both demo models in it."""

    def __init__(self, home: Path, models: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "models").exists():
            (home / "models").symlink_to(models, target_is_directory=True)
        self.environment = {**os.environ, "ONDOL_HOME": str(home)}
        self.line = [sys.executable, "-P", "-m", "app.cli"]

    def run(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run([*self.line, *words], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False)

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """What a command prints with --json."""
        done = self.run(*words, "--json")
        assert done.stdout, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command in the background, in a process group of its own. Its input closes when this process ends, however that goes."""
        return subprocess.Popen(
            [*self.line, *words],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    @functools.cached_property
    def key(self) -> str:
        """The API key."""
        return self.run("key").stdout.strip()

    @contextlib.contextmanager
    def serving(self) -> Iterator[Served]:
        """A server, until the block ends; one whose test is killed ends by itself."""
        process = self.start("serve", "--port", "0", "--json", "--until-stdin-closes")
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Served(told["url"], self.key, process, self.home)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait(30)


class Served:
    """A running server, through the official client."""

    def __init__(self, url: str, key: str, process: subprocess.Popen[str], home: Path) -> None:
        self.url, self.key, self.process, self._home = url, key, process, home
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=240)

    def answer(self, question: str, model: str) -> str:
        """The text of one chat. A small model can ramble until its context is full: its answer is bounded."""
        messages: list[Any] = [{"role": "user", "content": question}]
        made = self.client.chat.completions.create(model=model, messages=messages, max_tokens=256)
        return made.choices[0].message.content or ""

    def health(self) -> dict[str, Any]:
        """A state per part."""
        with urllib.request.urlopen(f"{self.url}/health/ready", timeout=10) as answer:
            parts: dict[str, Any] = json.load(answer)["parts"]
        return parts

    def drained(self, seconds: float = 60) -> bool:
        """Wait until the index has taken in every change."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            index = self.health()["index"]
            if index["state"] == "ready" and index["pending"] and not any(index["pending"].values()) and self._followed():
                return True
            time.sleep(0.2)
        return False

    def _followed(self) -> bool:
        """Whether the index stands where the book stands now; the server's health is up to some seconds old."""
        with contextlib.closing(book_view.connect(self._home / "book.db")) as book:
            newest = book_view.newest_seq(book)
            at = {of.id: taken_in(self._home / "index", of.id) for of in book_view.generations(book)}
            return all(seq == newest or (seq > 0 and not book_view.pending(book, id, seq)) for id, seq in at.items())
