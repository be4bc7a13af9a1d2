"""The whole wired server in a thread of this process, over models that a test has pulled into its data folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import openai
import uvicorn

from app.core.credentials import api_key
from app.core.paths import Home
from app.core.settings import load_settings
from app.main import build
from models.library import Library


class ServedModels:
    """Its address and key, and a client of each kind."""

    def __init__(self, url: str, key: str, ids: dict[str, str]) -> None:
        self.url, self.key, self.ids = url, key, ids
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)

    def ask(self, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """(status, decoded body) of a POST, or of a GET where there is no body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        request.add_header("authorization", f"Bearer {self.key if key is None else key}")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextlib.contextmanager
def serving_models(folder: Path, files: dict[str, Path], config: str = "") -> Iterator[ServedModels]:
    """Serve these GGUF files, each under the id that its pull gives it."""
    home = Home(folder)
    home.root.mkdir(parents=True, exist_ok=True)
    library = Library(home.models)
    ids = {name: library.pull(f"file:{path}").id for name, path in files.items()}
    home.config.write_text("models: {context: 4096, threads: 1}\n" + config, encoding="utf-8")
    # A guard is for the rest of a process's life, and this process is the tests'.
    with mock.patch("app.core.egress.install"):
        made = build(home, load_settings(home, environ={}))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = uvicorn.Server(uvicorn.Config(made.app, log_config=None, lifespan="on"))  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield ServedModels(f"http://127.0.0.1:{listening.getsockname()[1]}", api_key(home), ids)
        finally:
            made.closing()
            server.should_exit = True
            thread.join(30)
